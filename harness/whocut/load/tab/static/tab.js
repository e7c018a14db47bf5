// Lays the panel into the pane of its tab, and takes it away when another tab is chosen.
(() => {
  "use strict";
  const TITLE = "Which layer cut";
  const frame = document.createElement("iframe");
  frame.id = "whocut";
  frame.src = "./whocut/";
  frame.title = TITLE;
  frame.style.cssText = "display:block;width:100%;height:70vh;border:0;background:transparent";

  function place() {
    const tabs = [...document.querySelectorAll('[role="tab"]')];
    const ours = tabs.find((tab) => tab.textContent.trim() === TITLE);
    const chosen = ours && ours.getAttribute("aria-selected") === "true";
    const pane = chosen ? ours.closest("main > *") : null;
    if (pane && frame.parentNode !== pane) pane.append(frame);
    if (!pane && frame.isConnected) frame.remove();
  }

  new MutationObserver(place).observe(document.getElementById("root"), {
    subtree: true,
    childList: true,
    attributeFilter: ["aria-selected"],
  });
  place();
})();
