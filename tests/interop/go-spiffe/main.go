// A SPIFFE Workload API for spiffe_test.py, on go-spiffe's protocol package: one Unix socket for each workload, and a
// certificate authority for each trust domain, made when it is first named.
//
// Argument: a folder for the sockets (WORKLOAD.sock).  Commands on stdin, one JSON object a line, which set what one
// workload is told from now on: {"workload", "id": SPIFFE id, "federated": [trust domains], "hint", "ttl": seconds,
// "deny": no identity (PERMISSION_DENIED), "stop": its socket goes away}.  Each command issues a new certificate.
// Lines on stdout: "ok WORKLOAD SERIAL" answers a command; "key ID HEX" is the private part of a key that was issued;
// "open WORKLOAD METHOD" for each stream that begins.
package main

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/jwtbundle"
	workload "github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

type command struct {
	Workload  string   `json:"workload"`
	ID        string   `json:"id"`
	Federated []string `json:"federated"`
	Hint      string   `json:"hint"`
	TTL       int64    `json:"ttl"`
	Deny      bool     `json:"deny"`
	Stop      bool     `json:"stop"`
}

var output sync.Mutex

func say(format string, values ...any) {
	output.Lock()
	defer output.Unlock()
	fmt.Printf(format+"\n", values...)
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// ---- authorities ----

type authority struct {
	certificate *x509.Certificate
	der         []byte
	key         *ecdsa.PrivateKey
}

var authorities = map[string]*authority{}

func serial() *big.Int {
	number, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 64))
	check(err)
	return number
}

func authorityOf(trustDomain string) *authority {
	if known, ok := authorities[trustDomain]; ok {
		return known
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: trustDomain},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		URIs: []*url.URL{{Scheme: "spiffe", Host: trustDomain}}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	check(err)
	certificate, err := x509.ParseCertificate(der)
	check(err)
	authorities[trustDomain] = &authority{certificate, der, key}
	return authorities[trustDomain]
}

func issue(id spiffeid.ID, hint string, life time.Duration) (*workload.X509SVID, *big.Int) {
	by := authorityOf(id.TrustDomain().Name())
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	template := &x509.Certificate{
		SerialNumber: serial(), NotBefore: time.Now().Add(-time.Second), NotAfter: time.Now().Add(life),
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		URIs:        []*url.URL{id.URL()}}
	der, err := x509.CreateCertificate(rand.Reader, template, by.certificate, &key.PublicKey, by.key)
	check(err)
	keyDer, err := x509.MarshalPKCS8PrivateKey(key)
	check(err)
	say("key %s %x", id, key.D.FillBytes(make([]byte, 32)))
	return &workload.X509SVID{SpiffeId: id.String(), X509Svid: der, X509SvidKey: keyDer, Bundle: by.der, Hint: hint},
		template.SerialNumber
}

// ---- the API of one workload ----

type api struct {
	workload.UnimplementedSpiffeWorkloadAPIServer
	name    string
	server  *grpc.Server
	mutex   sync.Mutex
	svids   *workload.X509SVIDResponse // nil: no identity
	jwt     *workload.JWTBundlesResponse
	changed chan struct{} // closed with each change
}

func (a *api) set(c command) *big.Int {
	var svids *workload.X509SVIDResponse
	var jwt *workload.JWTBundlesResponse
	number := new(big.Int)
	if !c.Deny {
		id, err := spiffeid.FromString(c.ID)
		check(err)
		life := time.Duration(c.TTL) * time.Second
		if life == 0 {
			life = time.Hour
		}
		svid, issued := issue(id, c.Hint, life)
		number = issued
		svids = &workload.X509SVIDResponse{Svids: []*workload.X509SVID{svid}, FederatedBundles: map[string][]byte{}}
		for _, name := range c.Federated {
			svids.FederatedBundles["spiffe://"+name] = authorityOf(name).der
		}
		keys := jwtbundle.New(id.TrustDomain())
		check(keys.AddJWTAuthority("one", authorityOf(id.TrustDomain().Name()).key.Public()))
		text, err := keys.Marshal()
		check(err)
		jwt = &workload.JWTBundlesResponse{Bundles: map[string][]byte{id.TrustDomain().IDString(): text}}
	}
	a.mutex.Lock()
	defer a.mutex.Unlock()
	a.svids, a.jwt = svids, jwt
	close(a.changed)
	a.changed = make(chan struct{})
	return number
}

// Says `current` at once and with each change, for as long as there is an identity.
func stream[T any](a *api, method string, out grpc.ServerStreamingServer[T], current func() *T) error {
	fields, _ := metadata.FromIncomingContext(out.Context())
	if header := fields.Get("workload.spiffe.io"); len(header) != 1 || header[0] != "true" {
		return status.Error(codes.InvalidArgument, "security header missing from request")
	}
	say("open %s %s", a.name, method)
	for {
		a.mutex.Lock()
		message, changed, known := current(), a.changed, a.svids != nil
		a.mutex.Unlock()
		if !known {
			return status.Error(codes.PermissionDenied, "no identity issued")
		}
		if err := out.Send(message); err != nil {
			return err
		}
		select {
		case <-changed:
		case <-out.Context().Done():
			return nil
		}
	}
}

func (a *api) FetchX509SVID(_ *workload.X509SVIDRequest, out grpc.ServerStreamingServer[workload.X509SVIDResponse]) error {
	return stream(a, "FetchX509SVID", out, func() *workload.X509SVIDResponse { return a.svids })
}

func (a *api) FetchJWTBundles(_ *workload.JWTBundlesRequest, out grpc.ServerStreamingServer[workload.JWTBundlesResponse]) error {
	return stream(a, "FetchJWTBundles", out, func() *workload.JWTBundlesResponse { return a.jwt })
}

func (a *api) serve(path string) {
	os.Remove(path)
	listener, err := net.Listen("unix", path)
	check(err)
	a.server = grpc.NewServer()
	workload.RegisterSpiffeWorkloadAPIServer(a.server, a)
	go a.server.Serve(listener)
}

func main() {
	apis := map[string]*api{}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var c command
		check(json.Unmarshal(lines.Bytes(), &c))
		a := apis[c.Workload]
		if c.Stop {
			a.server.Stop()
			delete(apis, c.Workload)
			say("ok %s 0", c.Workload)
			continue
		}
		if a == nil {
			a = &api{name: c.Workload, changed: make(chan struct{})}
			apis[c.Workload] = a
		}
		number := a.set(c)
		if a.server == nil {
			a.serve(filepath.Join(os.Args[1], c.Workload+".sock"))
		}
		say("ok %s %x", c.Workload, number)
	}
}
