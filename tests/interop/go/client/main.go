// A client of the interop tests: Go's net/http against a proxy, with "http2" behind the URL by HTTP/2 in clear text.
// It prints one line per case.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"os"
	"strings"
	"sync"
	"time"
)

// What the origin says that it saw.
type echo struct {
	Method     string
	Length     int
	Trailers   [][]string
	Chunked    bool
	Connection int
}

var base string

func do(request *http.Request, err error) (*http.Response, []byte, error) {
	if err != nil {
		return nil, nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != 200 {
		err = fmt.Errorf("status %d: %s", response.StatusCode, body)
	}
	return response, body, err
}

func send(request *http.Request, err error, method string, length int, chunked bool) (echo, error) {
	var seen echo
	_, body, err := do(request, err)
	if err == nil {
		err = json.Unmarshal(body, &seen)
	}
	if err == nil && (seen.Method != method || seen.Length != length || seen.Chunked != chunked) {
		err = fmt.Errorf("the origin saw %+v", seen)
	}
	return seen, err
}

// hidden keeps net/http from knowing the length.
type hidden struct{ io.Reader }

func get() error {
	request, err := http.NewRequest("GET", base+"/get", nil)
	_, err = send(request, err, "GET", 0, false)
	return err
}

func postWithLength() error {
	request, err := http.NewRequest("POST", base+"/post", strings.NewReader("hello"))
	_, err = send(request, err, "POST", 5, false)
	return err
}

func postChunked() error {
	request, err := http.NewRequest("POST", base+"/post", hidden{bytes.NewReader(make([]byte, 100_000))})
	_, err = send(request, err, "POST", 100_000, true)
	return err
}

func trailers() error {
	request, err := http.NewRequest("POST", base+"/trailers", hidden{strings.NewReader("hello")})
	if err != nil {
		return err
	}
	request.Trailer = http.Header{"X-Sum": {"5"}}
	response, body, err := do(request, nil)
	if err != nil {
		return err
	}
	var seen echo
	if err := json.Unmarshal(body, &seen); err != nil {
		return err
	}
	if len(seen.Trailers) != 1 || seen.Trailers[0][1] != "5" {
		return fmt.Errorf("the origin saw the trailers %v", seen.Trailers)
	}
	if response.Trailer.Get("X-End") != "yes" {
		return fmt.Errorf("trailers of the response: %v", response.Trailer)
	}
	return nil
}

func expect() error {
	request, err := http.NewRequest("POST", base+"/expect", strings.NewReader("hello"))
	if err != nil {
		return err
	}
	asked := false
	request.Header.Set("Expect", "100-continue")
	trace := &httptrace.ClientTrace{Got100Continue: func() { asked = true }}
	_, err = send(request.WithContext(httptrace.WithClientTrace(request.Context(), trace)), nil, "POST", 5, false)
	if err == nil && !asked {
		err = fmt.Errorf("no 100 Continue")
	}
	return err
}

func head() error {
	request, err := http.NewRequest("HEAD", base+"/head", nil)
	response, body, err := do(request, err)
	if err == nil && (len(body) != 0 || response.ContentLength <= 0) {
		err = fmt.Errorf("%d bytes, length %d", len(body), response.ContentLength)
	}
	return err
}

func large() error {
	const size = 8 << 20
	request, err := http.NewRequest("PUT", base+"/put", bytes.NewReader(make([]byte, size)))
	if _, err = send(request, err, "PUT", size, false); err != nil {
		return err
	}
	request, err = http.NewRequest("GET", fmt.Sprintf("%s/bytes/%d", base, size), nil)
	_, body, err := do(request, err)
	if err == nil && len(body) != size {
		err = fmt.Errorf("%d bytes came", len(body))
	}
	return err
}

func keepAlive() error {
	reused := 0
	for n := 0; n < 20; n++ {
		request, err := http.NewRequest("GET", base+"/get", nil)
		if err != nil {
			return err
		}
		trace := &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
			if info.Reused {
				reused++
			}
		}}
		if _, _, err := do(request.WithContext(httptrace.WithClientTrace(request.Context(), trace)), nil); err != nil {
			return err
		}
	}
	if reused < 19 {
		return fmt.Errorf("%d of 20 requests on a kept connection", reused)
	}
	return nil
}

func concurrent() error {
	failures := make(chan error, 32)
	var all sync.WaitGroup
	for worker := 0; worker < 32; worker++ {
		all.Add(1)
		go func() {
			defer all.Done()
			for n := 0; n < 50; n++ {
				request, err := http.NewRequest("POST", base+"/post", strings.NewReader(strings.Repeat("x", n*100)))
				if _, err := send(request, err, "POST", n*100, false); err != nil {
					failures <- err
					return
				}
			}
		}()
	}
	all.Wait()
	close(failures)
	return <-failures
}

func main() {
	base = os.Args[1]
	transport := http.DefaultTransport.(*http.Transport)
	transport.ExpectContinueTimeout = 20 * time.Second
	transport.MaxIdleConnsPerHost = 64
	if len(os.Args) > 2 && os.Args[2] == "http2" {
		transport.Protocols = new(http.Protocols)
		transport.Protocols.SetUnencryptedHTTP2(true)
	}
	http.DefaultClient.Timeout = 30 * time.Second
	failed := false
	for _, test := range []struct {
		name string
		run  func() error
	}{
		{"get", get}, {"post with a length", postWithLength}, {"post in chunks", postChunked}, {"trailers", trailers},
		{"expect", expect}, {"head", head}, {"large", large}, {"keep-alive", keepAlive}, {"concurrent", concurrent},
	} {
		if err := test.run(); err != nil {
			failed = true
			fmt.Printf("%s: %v\n", test.name, err)
		} else {
			fmt.Printf("%s: fine\n", test.name)
		}
	}
	if failed {
		os.Exit(1)
	}
}
