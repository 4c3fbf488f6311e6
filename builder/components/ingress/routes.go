package main

// What Ingress objects say, as a table that answers which Service a request is for. Pure: asks nobody, opens nothing.

import (
	"cmp"
	"net"
	"slices"
	"strconv"
	"strings"
)

// The parts of API objects that count here.
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

// Target is a Service's port, as an Ingress names it.
type Target struct {
	Namespace, Service, PortName string
	PortNumber                   int
}

type rule struct {
	path    string
	isExact bool
	target  Target
}

// Table is all that the Ingress objects say of hosts and paths.
type Table struct {
	// By host; `*.example.com` stands under `.example.com`, rules for every host under the empty name.
	hosts    map[string][]rule
	fallback *Target
}

// isOurs says whether an Ingress is for this controller: of its class, or of none.
func isOurs(ingress *Ingress, class string) bool {
	if name := ingress.Spec.ClassName; name != nil {
		return *name == class
	}
	// What the annotation said before there was a field.
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

// NewTable makes the table; of two rules for the same, the one of the Ingress whose name comes first counts.
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
		// Exact before prefix, long before short: the first that matches is the one that counts.
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

// Find answers which Service a request is for.
func (table *Table) Find(host, path string) (Target, bool) {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	names := []string{host}
	// A wildcard stands for one label.
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
	// Element by element: `/a` is a prefix of `/a` and `/a/b`, and none of `/ab`.
	prefix := strings.TrimSuffix(rule.path, "/")
	return path == prefix || strings.HasPrefix(path, prefix+"/")
}

// Address answers where a Service's port is reached, or why it is not.
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
