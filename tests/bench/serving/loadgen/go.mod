module modelvane.dev/loadgen

go 1.26
