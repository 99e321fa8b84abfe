module github.com/go-shipper/shipper

go 1.26
