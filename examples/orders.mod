module example.com/orders

go 1.26.0

require github.com/go-shipper/shipper v0.0.0

require (
	github.com/fsnotify/fsnotify v1.10.1 // indirect
	golang.org/x/sys v0.49.0 // indirect
)

replace github.com/go-shipper/shipper => ./kit
