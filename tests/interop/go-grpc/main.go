// gRPC's own Go implementation for tests, without generated code: messages are bytes.
//
//	go-grpc server PORT    the service of grpc_server.py
//	go-grpc client PORT    the cases of grpc_client.py: a line "<case> ok" for each, or the end at the first that fails
//	go-grpc bidi PORT STREAMS SECONDS MESSAGES    streams with pauses, cancelled and ended at random (bidi.go)
//	go-grpc soaking PORT                          how many of those streams the server still serves
//	go-grpc slow PORT STREAMS MEGABYTES [leave]   streams that are not read, and calls beside them (slow.go)
package main

import (
	"fmt"
	"os"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
)

// raw is the codec of messages that are bytes already.
type raw struct{}

func (raw) Name() string { return "proto" }

func (raw) Marshal(message any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(*message.(*[]byte))}, nil
}

func (raw) Unmarshal(data mem.BufferSlice, message any) error {
	*message.(*[]byte) = data.Materialize()
	return nil
}

// noLimit is for the size of a message; the default is 4 MB.
const noLimit = 1 << 30

func dial(address string) (*grpc.ClientConn, error) {
	return grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDisableRetry(),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(raw{}), grpc.MaxCallRecvMsgSize(noLimit)))
}

func main() {
	run := map[string]func(address string, arguments []string) error{
		"server": serve, "client": runCases, "bidi": runBidi, "soaking": printSoaking, "slow": runSlow}[os.Args[1]]
	if err := run("127.0.0.1:"+os.Args[2], os.Args[3:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
