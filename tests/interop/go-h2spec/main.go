// h2spec, the conformance tests of HTTP/2, against a proxy: each of its cases is a line "pass|skip|fail ID what [: why]".
//
//	go-h2spec server ADDRESS PATH [tls]     its clients against the server at ADDRESS: all cases, those of --strict too
//	go-h2spec client URL CERT KEY PORT...   its servers against the client of an HTTP proxy: a request for URL/<n> must
//	                                        reach the n-th port (the first is 0), where case n is served
//
// The cases are h2spec's own; here they run side by side, each with a connection of its own.
package main

import (
	"fmt"
	"os"
	"sync"

	"github.com/summerwind/h2spec/spec"
)

// result of a case; why is nil if it passed.
type result struct {
	id, what string
	why      error
}

// sideBySide bounds how many cases run at a time: they wait most of theirs.
const sideBySide = 8

// runAll runs every case and prints the results in the order of the cases.
func runAll(cases []result, run func(i int) error) {
	slots := make(chan struct{}, sideBySide)
	var all sync.WaitGroup
	for i := range cases {
		slots <- struct{}{}
		all.Go(func() {
			cases[i].why = run(i)
			<-slots
		})
	}
	all.Wait()
	for _, each := range cases {
		switch each.why {
		case nil:
			fmt.Printf("pass %s %s\n", each.id, each.what)
		case spec.ErrSkipped:
			fmt.Printf("skip %s %s\n", each.id, each.what)
		default:
			fmt.Printf("fail %s %s: %q\n", each.id, each.what, each.why.Error())
		}
	}
}

func main() {
	var err error
	switch os.Args[1] {
	case "server":
		err = testServer(os.Args[2], os.Args[3], len(os.Args) > 4)
	case "client":
		err = testClient(os.Args[2], os.Args[3], os.Args[4], os.Args[5:])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
