module pillion.test/spiffe

go 1.26.0

require (
	github.com/spiffe/go-spiffe/v2 v2.6.0
	google.golang.org/grpc v1.85.0
)
