// Pins the Gateway API, of which only the CRDs are used: tests/cluster/gateway.py downloads the module and reads them.
// Apart from ../node, because a version that changes here must not make the node's binaries anew.
module modelvane.dev/tests/cluster/gateway-api

go 1.27.0

require sigs.k8s.io/gateway-api v1.7.0
