package main

// A client of the API server that follows objects by lists and watches. Owns requests and retries, and interprets no object.

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"time"
)

const (
	account = "/var/run/secrets/kubernetes.io/serviceaccount/"
	// The delay before a failed list or watch is repeated; an API server takes seconds to start.
	pause = 500 * time.Millisecond
)

// Cluster is the address of an API server and a client for it.
type Cluster struct {
	base   string
	client *http.Client
}

func inCluster() (*Cluster, error) {
	authority, err := os.ReadFile(account + "ca.crt")
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(authority)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}
	address := net.JoinHostPort(os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT"))
	return &Cluster{"https://" + address, &http.Client{Transport: transport}}, nil
}

func (cluster *Cluster) do(ctx context.Context, method, path string, body []byte) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, cluster.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	// Read for each request: kubelet replaces the token before it expires.
	token, err := os.ReadFile(account + "token")
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+string(token))
	if method == http.MethodPatch {
		request.Header.Set("Content-Type", "application/merge-patch+json")
	}
	answer, err := cluster.client.Do(request)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode >= 300 {
		text, _ := io.ReadAll(io.LimitReader(answer.Body, 500))
		answer.Body.Close()
		return nil, fmt.Errorf("%s %s: %s: %s", method, path, answer.Status, text)
	}
	return answer, nil
}

// follow calls `learn` with all objects below a path, whenever one of them changes. It never returns.
func follow[T any](cluster *Cluster, path, selector string, metadata func(*T) Metadata, learn func(map[string]*T)) {
	for {
		if err := followOnce(cluster, path, selector, metadata, learn); err != nil {
			log.Printf("%s: %v", path, err)
		}
		time.Sleep(pause)
	}
}

func followOnce[T any](
	cluster *Cluster, path, selector string, metadata func(*T) Metadata, learn func(map[string]*T),
) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	answer, err := cluster.do(ctx, http.MethodGet, path+"?"+selector, nil)
	if err != nil {
		return err
	}
	var list struct {
		Metadata struct {
			ResourceVersion string `json:"resourceVersion"`
		} `json:"metadata"`
		Items []*T `json:"items"`
	}
	err = json.NewDecoder(answer.Body).Decode(&list)
	answer.Body.Close()
	if err != nil {
		return err
	}
	key := func(object *T) string { return metadata(object).Namespace + "/" + metadata(object).Name }
	all := map[string]*T{}
	for _, object := range list.Items {
		all[key(object)] = object
	}
	learn(all)

	watch := path + "?watch=1&allowWatchBookmarks=true&resourceVersion=" + list.Metadata.ResourceVersion + "&" + selector
	answer, err = cluster.do(ctx, http.MethodGet, watch, nil)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	for events := json.NewDecoder(answer.Body); ; {
		var event struct {
			Type   string          `json:"type"`
			Object json.RawMessage `json:"object"`
		}
		if err := events.Decode(&event); err != nil {
			if err == io.EOF {
				// The API server ends each watch after some time.
				return nil
			}
			return err
		}
		object := new(T)
		switch event.Type {
		case "ADDED", "MODIFIED", "DELETED":
			if err := json.Unmarshal(event.Object, object); err != nil {
				return err
			}
		case "BOOKMARK":
			continue
		default:
			return fmt.Errorf("watch: %s", event.Object)
		}
		if event.Type == "DELETED" {
			delete(all, key(object))
		} else {
			all[key(object)] = object
		}
		learn(all)
	}
}
