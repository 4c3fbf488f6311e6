// An Ingress controller for a cluster of one node: follows Ingress objects and forwards requests to Services. Owns the
// servers, their certificates and the status of Ingress objects. `routes` finds the Service of a request, `cluster` reads
// the API server.
package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"maps"
	"math/big"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// Limit for running requests after SIGTERM.
	grace = 5 * time.Second
	// A client that sends no header for so long only occupies connections.
	headerTimeout = 30 * time.Second
	idleTimeout   = 180 * time.Second
)

// View is an immutable snapshot of the cluster, replaced at every change.
type View struct {
	table        *Table
	services     map[string]*Service
	certificates map[string]*tls.Certificate
}

// Controller follows the cluster and serves its latest view.
type Controller struct {
	cluster *Cluster
	class   string
	node    string

	lock      sync.Mutex
	ingresses map[string]*Ingress
	services  map[string]*Service
	secrets   map[string]*Secret
	view      atomic.Pointer[View]
	fallback  *tls.Certificate
}

func main() {
	log.SetFlags(0)
	class := flag.String("class", "kubake", "name of the IngressClass")
	plain := flag.String("http", ":8080", "address for HTTP")
	secure := flag.String("https", ":8443", "address for HTTPS")
	health := flag.String("health", ":10254", "address for /healthz, which answers 200 once the cluster is known")
	flag.Parse()
	if err := run(*class, *plain, *secure, *health); err != nil {
		log.Fatal(err)
	}
}

func run(class, plain, secure, health string) error {
	cluster, err := inCluster()
	if err != nil {
		return err
	}
	fallback, err := selfSigned()
	if err != nil {
		return err
	}
	controller := &Controller{cluster: cluster, class: class, node: os.Getenv("NODE_IP"), fallback: fallback}
	go follow(cluster, "/apis/networking.k8s.io/v1/ingresses", "", func(one *Ingress) Metadata { return one.Metadata },
		learn(controller, &controller.ingresses))
	go follow(cluster, "/api/v1/services", "", func(one *Service) Metadata { return one.Metadata },
		learn(controller, &controller.services))
	go follow(cluster, "/api/v1/secrets", "fieldSelector=type%3Dkubernetes.io/tls",
		func(one *Secret) Metadata { return one.Metadata }, learn(controller, &controller.secrets))

	servers := []*http.Server{
		server(plain, controller.proxy()),
		server(secure, controller.proxy()),
		server(health, http.HandlerFunc(controller.healthz)),
	}
	servers[1].TLSConfig = &tls.Config{GetCertificate: controller.certificate}
	failed := make(chan error, len(servers))
	for _, server := range servers {
		go func() {
			if server.TLSConfig != nil {
				failed <- server.ListenAndServeTLS("", "")
			} else {
				failed <- server.ListenAndServe()
			}
		}()
	}
	stop, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	select {
	case err := <-failed:
		return err
	case <-stop.Done():
	}
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	var group sync.WaitGroup
	for _, server := range servers {
		// Requests that still run after the grace period end with this process.
		group.Go(func() { _ = server.Shutdown(ctx) })
	}
	group.Wait()
	return nil
}

func server(address string, handler http.Handler) *http.Server {
	return &http.Server{
		Addr: address, Handler: handler, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout,
		// Broken handshakes, for example of port scans, are not logged.
		ErrorLog: log.New(io.Discard, "", 0),
	}
}

// learn stores the objects of one kind, and creates a new view once all kinds are known.
func learn[T any](controller *Controller, known *map[string]*T) func(map[string]*T) {
	return func(all map[string]*T) {
		controller.lock.Lock()
		defer controller.lock.Unlock()
		*known = maps.Clone(all)
		if controller.ingresses == nil || controller.services == nil || controller.secrets == nil {
			return
		}
		var ours []*Ingress
		for _, ingress := range controller.ingresses {
			if isOurs(ingress, controller.class) {
				ours = append(ours, ingress)
			}
		}
		controller.view.Store(&View{
			table:        NewTable(ours),
			services:     controller.services,
			certificates: certificates(ours, controller.secrets),
		})
		go controller.publish(ours)
	}
}

// publish writes the node's address into the status of Ingress objects that do not have it.
func (controller *Controller) publish(ingresses []*Ingress) {
	patch, _ := json.Marshal(map[string]any{
		"status": map[string]any{"loadBalancer": map[string]any{"ingress": []any{map[string]string{"ip": controller.node}}}},
	})
	for _, ingress := range ingresses {
		if published := ingress.Status.LoadBalancer.Ingress; len(published) == 1 && published[0].IP == controller.node {
			continue
		}
		path := fmt.Sprintf("/apis/networking.k8s.io/v1/namespaces/%s/ingresses/%s/status",
			ingress.Metadata.Namespace, ingress.Metadata.Name)
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		answer, err := controller.cluster.do(ctx, http.MethodPatch, path, patch)
		if err != nil {
			log.Print(err)
		} else {
			answer.Body.Close()
		}
		cancel()
	}
}

// certificates returns the certificates that Ingress objects name, by host.
func certificates(ingresses []*Ingress, secrets map[string]*Secret) map[string]*tls.Certificate {
	found := map[string]*tls.Certificate{}
	for _, ingress := range ingresses {
		for _, one := range ingress.Spec.TLS {
			secret := secrets[ingress.Metadata.Namespace+"/"+one.SecretName]
			if secret == nil {
				continue
			}
			pair, err := tls.X509KeyPair(secret.Data["tls.crt"], secret.Data["tls.key"])
			if err != nil {
				log.Printf("secret %s/%s: %v", ingress.Metadata.Namespace, one.SecretName, err)
				continue
			}
			hosts := one.Hosts
			if len(hosts) == 0 && pair.Leaf != nil {
				hosts = slices.Clone(pair.Leaf.DNSNames)
			}
			for _, host := range hosts {
				found[strings.TrimPrefix(strings.ToLower(host), "*")] = &pair
			}
		}
	}
	return found
}

func (controller *Controller) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if view := controller.view.Load(); view != nil {
		name := strings.ToLower(hello.ServerName)
		if found := view.certificates[name]; found != nil {
			return found, nil
		}
		if _, rest, ok := strings.Cut(name, "."); ok {
			if found := view.certificates["."+rest]; found != nil {
				return found, nil
			}
		}
	}
	return controller.fallback, nil
}

// selfSigned creates the certificate for hosts without one.
func selfSigned() (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: "kubake ingress: no certificate for this host"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().AddDate(10, 0, 0),
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{certificate}, PrivateKey: key}, nil
}

type addressKey struct{}

// proxy forwards requests with the host that the client named.
func (controller *Controller) proxy() http.Handler {
	reverse := &httputil.ReverseProxy{
		Rewrite: func(request *httputil.ProxyRequest) {
			address, _ := request.In.Context().Value(addressKey{}).(string)
			request.SetURL(&url.URL{Scheme: "http", Host: address})
			request.Out.Host = request.In.Host
			request.SetXForwarded()
		},
		// Streamed data must not wait until a buffer is full.
		FlushInterval: -1,
		Transport: &http.Transport{
			MaxIdleConnsPerHost: 64, IdleConnTimeout: 30 * time.Second, DisableCompression: true,
		},
		ErrorHandler: func(writer http.ResponseWriter, request *http.Request, err error) {
			if !errors.Is(err, context.Canceled) {
				log.Printf("%s %s%s: %v", request.Method, request.Host, request.URL.Path, err)
			}
			http.Error(writer, "the Service does not answer", http.StatusBadGateway)
		},
		ErrorLog: log.New(io.Discard, "", 0),
	}
	return http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		view := controller.view.Load()
		if view == nil {
			http.Error(writer, "the cluster is not known yet", http.StatusServiceUnavailable)
			return
		}
		target, ok := view.table.Find(request.Host, request.URL.Path)
		if !ok {
			http.Error(writer, "no Ingress is for this host and path", http.StatusNotFound)
			return
		}
		address, problem := Address(view.services[target.Namespace+"/"+target.Service], target)
		if problem != "" {
			text := fmt.Sprintf("Service %s/%s: %s", target.Namespace, target.Service, problem)
			http.Error(writer, text, http.StatusServiceUnavailable)
			return
		}
		reverse.ServeHTTP(writer, request.WithContext(context.WithValue(request.Context(), addressKey{}, address)))
	})
}

func (controller *Controller) healthz(writer http.ResponseWriter, _ *http.Request) {
	if controller.view.Load() == nil {
		http.Error(writer, "the cluster is not known yet", http.StatusServiceUnavailable)
	}
}
