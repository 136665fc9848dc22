// A backend of the interop tests, of HTTP/1.1 and HTTP/2 in clear text: answers every request and prints what it was,
// one JSON line each.
package main

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"sync"
)

type seen struct {
	Method string `json:"method"`
	Path   string `json:"path"`
	Length int64  `json:"length"`
}

func main() {
	var lock sync.Mutex
	out := json.NewEncoder(os.Stdout)
	handler := func(w http.ResponseWriter, r *http.Request) {
		length, err := io.Copy(io.Discard, r.Body)
		if err != nil {
			panic(http.ErrAbortHandler) // a request cut short is none
		}
		lock.Lock()
		out.Encode(seen{r.Method, r.RequestURI, length})
		lock.Unlock()
		io.WriteString(w, "ok")
	}
	server := http.Server{
		Addr: "127.0.0.1:" + os.Args[1], Handler: http.HandlerFunc(handler), Protocols: new(http.Protocols)}
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetUnencryptedHTTP2(true)
	if err := server.ListenAndServe(); err != nil {
		os.Stderr.WriteString(err.Error() + "\n")
		os.Exit(1)
	}
}
