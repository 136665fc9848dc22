module pillion.test/interop

go 1.25
