// A fetch whose failures look like a status that no client tries again: for one that cannot be told not to.
export const once = (url, init) => fetch(url, init)
  .then(async (got) => new Response(await got.arrayBuffer(), { status: got.ok ? 200 : 599, headers: got.headers }))
  .catch((error) => new Response(String(error), { status: 599 }));
