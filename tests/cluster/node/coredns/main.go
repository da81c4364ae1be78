// Command coredns is CoreDNS with the four plugins that the local node's Corefile names.
//
// Upstream's own main links every plugin, and with them the SDKs of three
// clouds and an etcd client newer than the one Kubernetes uses here.
package main

import (
	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/ready"

	"github.com/coredns/coredns/coremain"
)

func main() { coremain.Run() }
