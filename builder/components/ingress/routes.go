package main

// Routing rules of Ingress objects, as a table that finds the Service of a request. Pure: does no I/O.

import (
	"cmp"
	"net"
	"slices"
	"strconv"
	"strings"
)

// The parts of API objects that routing needs.
type (
	Metadata struct {
		Name        string            `json:"name"`
		Namespace   string            `json:"namespace"`
		Annotations map[string]string `json:"annotations"`
	}
	Ingress struct {
		Metadata Metadata `json:"metadata"`
		Spec     struct {
			ClassName      *string  `json:"ingressClassName"`
			DefaultBackend *Backend `json:"defaultBackend"`
			TLS            []struct {
				Hosts      []string `json:"hosts"`
				SecretName string   `json:"secretName"`
			} `json:"tls"`
			Rules []struct {
				Host string `json:"host"`
				HTTP *struct {
					Paths []struct {
						Path     string  `json:"path"`
						PathType string  `json:"pathType"`
						Backend  Backend `json:"backend"`
					} `json:"paths"`
				} `json:"http"`
			} `json:"rules"`
		} `json:"spec"`
		Status struct {
			LoadBalancer struct {
				Ingress []struct {
					IP string `json:"ip"`
				} `json:"ingress"`
			} `json:"loadBalancer"`
		} `json:"status"`
	}
	Backend struct {
		Service *struct {
			Name string `json:"name"`
			Port struct {
				Name   string `json:"name"`
				Number int    `json:"number"`
			} `json:"port"`
		} `json:"service"`
	}
	Service struct {
		Metadata Metadata `json:"metadata"`
		Spec     struct {
			Type         string `json:"type"`
			ClusterIP    string `json:"clusterIP"`
			ExternalName string `json:"externalName"`
			Ports        []struct {
				Name string `json:"name"`
				Port int    `json:"port"`
			} `json:"ports"`
		} `json:"spec"`
	}
	Secret struct {
		Metadata Metadata          `json:"metadata"`
		Data     map[string][]byte `json:"data"`
	}
)

// Target is the port of a Service, as an Ingress names it.
type Target struct {
	Namespace, Service, PortName string
	PortNumber                   int
}

type rule struct {
	path    string
	isExact bool
	target  Target
}

// Table holds the rules of all Ingress objects by host and path.
type Table struct {
	// By host: `*.example.com` has the key `.example.com`, rules for every host have the empty key.
	hosts    map[string][]rule
	fallback *Target
}

// isOurs reports whether an Ingress is for this controller: it has its class, or none.
func isOurs(ingress *Ingress, class string) bool {
	if name := ingress.Spec.ClassName; name != nil {
		return *name == class
	}
	// The annotation that the field has replaced.
	name, isSet := ingress.Metadata.Annotations["kubernetes.io/ingress.class"]
	return !isSet || name == class
}

func target(namespace string, backend Backend) (Target, bool) {
	if backend.Service == nil {
		return Target{}, false
	}
	port := backend.Service.Port
	return Target{namespace, backend.Service.Name, port.Name, port.Number}, true
}

// NewTable builds the table. Of two rules for the same host and path, the one of the Ingress with the first name wins.
func NewTable(ingresses []*Ingress) *Table {
	table := &Table{hosts: map[string][]rule{}}
	ingresses = slices.SortedFunc(slices.Values(ingresses), func(one, other *Ingress) int {
		return cmp.Or(cmp.Compare(one.Metadata.Namespace, other.Metadata.Namespace),
			cmp.Compare(one.Metadata.Name, other.Metadata.Name))
	})
	for _, ingress := range ingresses {
		namespace := ingress.Metadata.Namespace
		if backend := ingress.Spec.DefaultBackend; backend != nil && table.fallback == nil {
			if found, ok := target(namespace, *backend); ok {
				table.fallback = &found
			}
		}
		for _, one := range ingress.Spec.Rules {
			if one.HTTP == nil {
				continue
			}
			host := strings.TrimPrefix(strings.ToLower(one.Host), "*")
			for _, path := range one.HTTP.Paths {
				if found, ok := target(namespace, path.Backend); ok {
					table.hosts[host] = append(table.hosts[host], rule{path.Path, path.PathType == "Exact", found})
				}
			}
		}
	}
	for _, rules := range table.hosts {
		// Exact before prefix, long before short: the first match wins.
		slices.SortStableFunc(rules, func(one, other rule) int {
			if one.isExact != other.isExact {
				if one.isExact {
					return -1
				}
				return 1
			}
			return cmp.Compare(len(other.path), len(one.path))
		})
	}
	return table
}

// Find returns the Service of a request.
func (table *Table) Find(host, path string) (Target, bool) {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	names := []string{host}
	// A wildcard matches one label.
	if _, rest, ok := strings.Cut(host, "."); ok {
		names = append(names, "."+rest)
	}
	for _, name := range append(names, "") {
		for _, rule := range table.hosts[name] {
			if rule.matches(path) {
				return rule.target, true
			}
		}
	}
	if table.fallback != nil {
		return *table.fallback, true
	}
	return Target{}, false
}

func (rule *rule) matches(path string) bool {
	if rule.isExact {
		return path == rule.path
	}
	// Compared element by element: `/a` is a prefix of `/a` and `/a/b`, but not of `/ab`.
	prefix := strings.TrimSuffix(rule.path, "/")
	return path == prefix || strings.HasPrefix(path, prefix+"/")
}

// Address returns the address of a Service's port, or the reason why it has none.
func Address(service *Service, target Target) (address, problem string) {
	if service == nil {
		return "", "there is no such Service"
	}
	host, number := service.Spec.ClusterIP, 0
	for _, port := range service.Spec.Ports {
		if port.Port == target.PortNumber || target.PortName != "" && port.Name == target.PortName {
			number = port.Port
		}
	}
	switch {
	case service.Spec.Type == "ExternalName":
		host = service.Spec.ExternalName
		if number == 0 {
			number = target.PortNumber
		}
	case host == "" || host == "None":
		return "", "the Service is headless: give it an address"
	}
	if number == 0 {
		return "", "the Service has no such port"
	}
	return net.JoinHostPort(host, strconv.Itoa(number)), ""
}
