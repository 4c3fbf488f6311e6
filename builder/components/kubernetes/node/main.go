// The programs that run on the node itself, in one executable. Each body is that of the program's main function in
// k8s.io/kubernetes/cmd; compare them when the Kubernetes version changes.
package main

import (
	"context"
	"os"

	"k8s.io/component-base/cli"
	"k8s.io/component-base/logs"
	kubectl "k8s.io/kubectl/pkg/cmd"
	kubectlutil "k8s.io/kubectl/pkg/cmd/util"
	kubeadm "k8s.io/kubernetes/cmd/kubeadm/app"
	kubeadmerrors "k8s.io/kubernetes/cmd/kubeadm/app/util/errors"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"

	_ "k8s.io/client-go/plugin/pkg/client/auth"           // kubectl: client authentication plugins
	_ "k8s.io/component-base/logs/json/register"          // kubelet: --logging-format=json
	_ "k8s.io/component-base/metrics/prometheus/clientgo" // kubelet: metrics of its API client
	_ "k8s.io/component-base/metrics/prometheus/version"  // kubelet: kubernetes_build_info

	"kubake/components/kubernetes/multicall"
)

func main() {
	multicall.Main(map[string]multicall.Program{
		"kubeadm": {
			Run: func() { kubeadmerrors.HandleError(kubeadm.Run()) },
		},
		"kubectl": {
			Run: func() {
				// Upstream sets the verbosity before it makes the command, which looks for plugins and reads .kuberc.
				_, _ = logs.GlogSetter(kubectl.GetLogVerbosity(os.Args))
				if err := cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()); err != nil {
					kubectlutil.CheckErr(err)
				}
			},
		},
		"kubelet": {
			GlobalFlags: multicall.AllFlags,
			Run:         func() { os.Exit(cli.Run(kubelet.NewKubeletCommand(context.Background()))) },
		},
	})
}
