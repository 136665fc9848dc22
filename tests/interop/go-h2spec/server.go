package main

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/summerwind/h2spec/config"
	"github.com/summerwind/h2spec/generic"
	"github.com/summerwind/h2spec/hpack"
	"github.com/summerwind/h2spec/http2"
	"github.com/summerwind/h2spec/spec"
)

// patience of h2spec's waits.
const patience = 3 * time.Second

// serverCases are all of a group and of those in it.
func serverCases(group *spec.TestGroup) (tests []*spec.TestCase, names []result) {
	for i, test := range append(group.Tests, group.StrictTests...) {
		tests = append(tests, test)
		names = append(names, result{id: fmt.Sprintf("%s/%d", group.ID(), i+1), what: test.Desc})
	}
	for _, inner := range group.Groups {
		innerTests, innerNames := serverCases(inner)
		tests, names = append(tests, innerTests...), append(names, innerNames...)
	}
	return tests, names
}

func testServer(address, path string, tls bool) error {
	host, portText, err := net.SplitHostPort(address)
	port, err2 := strconv.Atoi(portText)
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	settings := &config.Config{
		Host: host, Port: port, Path: path, Timeout: patience, MaxHeaderLen: 4000, Strict: true, TLS: tls, Insecure: true,
	}
	var tests []*spec.TestCase
	var names []result
	for _, group := range []*spec.TestGroup{generic.Spec(), http2.Spec(), hpack.Spec()} {
		groupTests, groupNames := serverCases(group)
		tests, names = append(tests, groupTests...), append(names, groupNames...)
	}
	runAll(names, func(i int) error {
		connection, err := spec.Dial(settings)
		if err != nil {
			return err
		}
		defer connection.Close()
		return tests[i].Run(settings, connection)
	})
	return nil
}
