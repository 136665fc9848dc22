// gRPC's own interoperability suite as a client; its server is the suite's program, but for compressed messages, for
// which that has no library.
//
//	go-interop server PORT                    a server of the suite that takes compressed messages
//	go-interop cases                          the names of the cases, as in gRPC's descriptions of the tests
//	go-interop ADDRESS CASE [CERT KEY CA]     one case, by mutual TLS if there are files; "CASE gzip" compresses messages
//
// The suite ends the process at the first thing that is not as it should be.  Its own client knows no certificate of a
// client, and brings the libraries of three clouds.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/interop"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
)

// The service's name in a mesh.
const authority = "users"

const patience = 30 * time.Second

// The balancer of the ORCA cases; it does no harm to the others.
const service = `{"loadBalancingConfig": [{"test_backend_metrics_load_balancer": {}}]}`

type unaryOrStream = func(context.Context, testgrpc.TestServiceClient, ...grpc.CallOption)

// calls are the cases that take options of a call, as compression is.
var calls = []struct {
	name string
	run  unaryOrStream
}{
	{"empty_unary", interop.DoEmptyUnaryCall}, {"large_unary", interop.DoLargeUnaryCall},
	{"client_streaming", interop.DoClientStreaming}, {"server_streaming", interop.DoServerStreaming},
	{"ping_pong", interop.DoPingPong}, {"empty_stream", interop.DoEmptyStream},
	{"timeout_on_sleeping_server", interop.DoTimeoutOnSleepingServer}, {"cancel_after_begin", interop.DoCancelAfterBegin},
	{"cancel_after_first_response", interop.DoCancelAfterFirstResponse}, {"custom_metadata", interop.DoCustomMetadata},
	{"status_code_and_message", interop.DoStatusCodeAndMessage}, {"special_status_message", interop.DoSpecialStatusMessage},
}

// others are the rest.
var others = []struct {
	name string
	run  func(ctx context.Context, channel *grpc.ClientConn, dial func() (*grpc.ClientConn, error))
}{
	{"unimplemented_method", func(ctx context.Context, channel *grpc.ClientConn, _ func() (*grpc.ClientConn, error)) {
		interop.DoUnimplementedMethod(ctx, channel)
	}},
	{"unimplemented_service", func(ctx context.Context, channel *grpc.ClientConn, _ func() (*grpc.ClientConn, error)) {
		interop.DoUnimplementedService(ctx, testgrpc.NewUnimplementedServiceClient(channel))
	}},
	{"orca_per_rpc", func(ctx context.Context, channel *grpc.ClientConn, _ func() (*grpc.ClientConn, error)) {
		interop.DoORCAPerRPCTest(ctx, testgrpc.NewTestServiceClient(channel))
	}},
	{"orca_oob", func(ctx context.Context, channel *grpc.ClientConn, _ func() (*grpc.ClientConn, error)) {
		interop.DoORCAOOBTest(ctx, testgrpc.NewTestServiceClient(channel))
	}},
	{"rpc_soak", func(ctx context.Context, channel *grpc.ClientConn, _ func() (*grpc.ClientConn, error)) {
		interop.DoSoakTest(ctx, soak(func() (*grpc.ClientConn, func()) { return channel, func() {} }))
	}},
	{"channel_soak", func(ctx context.Context, _ *grpc.ClientConn, dial func() (*grpc.ClientConn, error)) {
		interop.DoSoakTest(ctx, soak(func() (*grpc.ClientConn, func()) {
			channel, err := dial()
			if err != nil {
				fail(err)
			}
			return channel, func() { channel.Close() }
		}))
	}},
}

// soak is the suite's own soak with fewer iterations; its sizes of messages are those of large_unary.
func soak(channel func() (*grpc.ClientConn, func())) interop.SoakTestConfig {
	return interop.SoakTestConfig{
		RequestSize: 271828, ResponseSize: 314159, PerIterationMaxAcceptableLatency: 2 * time.Second,
		OverallTimeout: patience, NumWorkers: 4, Iterations: 40, ChannelForTest: channel,
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// mutual are the credentials of a client whose servers have names of a mesh: the chain is verified, no host name is.
func mutual(certificate, key, bundle string) (credentials.TransportCredentials, error) {
	pair, err := tls.LoadX509KeyPair(certificate, key)
	if err != nil {
		return nil, err
	}
	pem, err := os.ReadFile(bundle)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, errors.New("no certificate in " + bundle)
	}
	return credentials.NewTLS(&tls.Config{
		Certificates: []tls.Certificate{pair}, InsecureSkipVerify: true,
		VerifyConnection: func(state tls.ConnectionState) error {
			between := x509.NewCertPool()
			for _, each := range state.PeerCertificates[1:] {
				between.AddCert(each)
			}
			_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between})
			return err
		},
	}), nil
}

func runCase(address, name string, files []string) error {
	secure := insecure.NewCredentials()
	if len(files) == 3 {
		var err error
		if secure, err = mutual(files[0], files[1], files[2]); err != nil {
			return err
		}
	}
	dial := func() (*grpc.ClientConn, error) {
		return grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(secure),
			grpc.WithAuthority(authority), grpc.WithDisableServiceConfig(), grpc.WithDefaultServiceConfig(service))
	}
	channel, err := dial()
	if err != nil {
		return err
	}
	defer channel.Close()
	ctx, end := context.WithTimeout(context.Background(), patience)
	defer end()
	var options []grpc.CallOption
	plain, compressed := strings.CutSuffix(name, " gzip")
	if compressed {
		options = append(options, grpc.UseCompressor(gzip.Name))
	}
	for _, each := range calls {
		if each.name == plain {
			each.run(ctx, testgrpc.NewTestServiceClient(channel), options...)
			return nil
		}
	}
	for _, each := range others {
		if each.name == name {
			each.run(ctx, channel, dial)
			return nil
		}
	}
	return errors.New("no case " + name)
}

func printCases() {
	for _, each := range calls {
		fmt.Printf("%s\n%s gzip\n", each.name, each.name)
	}
	for _, each := range others {
		fmt.Println(each.name)
	}
}

func serve(port string) error {
	listener, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		return err
	}
	server := grpc.NewServer()
	testgrpc.RegisterTestServiceServer(server, interop.NewTestServer())
	return server.Serve(listener)
}

func main() {
	var err error
	switch os.Args[1] {
	case "cases":
		printCases()
	case "server":
		err = serve(os.Args[2])
	default:
		err = runCase(os.Args[1], os.Args[2], os.Args[3:])
	}
	if err != nil {
		fail(err)
	}
}
