// Go's net/http against each ending: prints one JSON object a line.
// Usage: client KNOB BASE-URL REFUSED-URL FULL-URL ENDING…   (KNOB: client | header | context)
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"time"
)

const limit = 800 * time.Millisecond

func main() {
	knob, base, refused, full := os.Args[1], os.Args[2], os.Args[3], os.Args[4]
	transport := &http.Transport{DialContext: (&net.Dialer{Timeout: limit}).DialContext}
	client := &http.Client{Transport: transport}
	if knob == "client" {
		client.Timeout = limit
	}
	if knob == "header" {
		transport.ResponseHeaderTimeout = limit
	}
	for _, ending := range os.Args[5:] {
		url := base + "/" + ending
		switch ending {
		case "refused":
			url = refused + "/x"
		case "no-connection":
			url = full + "/x"
		case "untrusted":
			url = os.Getenv("UNTRUSTED")
		case "canceled":
			url = base + "/hang"
		case "no-name":
			url = "http://no-such-host.invalid/x"
		}
		text := ""
		if err := ask(client, knob, url, ending == "canceled"); err != nil {
			text = err.Error()
		}
		line, _ := json.Marshal(map[string]string{
			"client": "go-" + knob, "version": runtime.Version(), "ending": ending, "text": text,
		})
		fmt.Println(string(line))
	}
}

func ask(client *http.Client, knob string, url string, leaves bool) error {
	ctx := context.Background()
	if leaves {
		canceled, cancel := context.WithCancel(ctx)
		time.AfterFunc(limit/4, cancel)
		ctx = canceled
	} else if knob == "context" {
		bounded, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		ctx = bounded
	} else {
		// Nothing is held longer than this, whichever knob is captured.
		bounded, cancel := context.WithTimeout(ctx, 3*time.Second)
		defer cancel()
		ctx = bounded
	}
	request, _ := http.NewRequestWithContext(ctx, "POST", url, strings.NewReader(`{"prompt":"a cat"}`))
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return fmt.Errorf("reading body: %w", err)
	}
	if answer.StatusCode >= 400 {
		return fmt.Errorf("unexpected status %d: %s", answer.StatusCode, body)
	}
	return nil
}
