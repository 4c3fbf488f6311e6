// The programs that run in containers, in one executable. Each body is that of the program's main function in
// k8s.io/kubernetes/cmd; compare them when the Kubernetes version changes.
package main

import (
	"os"
	_ "time/tzdata" // kube-apiserver, kube-controller-manager: time zones of CronJobs

	"k8s.io/component-base/cli"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"

	_ "k8s.io/component-base/logs/json/register"          // all: --logging-format=json
	_ "k8s.io/component-base/metrics/prometheus/clientgo" // all: metrics of their API clients
	_ "k8s.io/component-base/metrics/prometheus/version"  // all: kubernetes_build_info

	"kubake/components/kubernetes/multicall"
)

func main() {
	multicall.Main(map[string]multicall.Program{
		"kube-apiserver": {
			GlobalFlags: multicall.OnlyFlags("version"),
			Run:         func() { os.Exit(cli.Run(apiserver.NewAPIServerCommand())) },
		},
		"kube-controller-manager": {
			GlobalFlags: multicall.AllFlags,
			Run:         func() { os.Exit(cli.Run(controllermanager.NewControllerManagerCommand())) },
		},
		"kube-proxy": {
			GlobalFlags: multicall.OnlyFlags("boot_id_file", "machine_id_file", "version"),
			Run:         func() { os.Exit(cli.Run(proxy.NewProxyCommand())) },
		},
		"kube-scheduler": {
			GlobalFlags: multicall.OnlyFlags("version"),
			Run:         func() { os.Exit(cli.Run(scheduler.NewSchedulerCommand())) },
		},
	})
}
