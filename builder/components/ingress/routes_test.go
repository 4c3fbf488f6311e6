package main

import (
	"encoding/json"
	"testing"
)

func ingresses(t *testing.T, texts ...string) []*Ingress {
	t.Helper()
	var all []*Ingress
	for _, text := range texts {
		ingress := new(Ingress)
		if err := json.Unmarshal([]byte(text), ingress); err != nil {
			t.Fatal(err)
		}
		all = append(all, ingress)
	}
	return all
}

func path(path, kind, service string) string {
	return `{"path":"` + path + `","pathType":"` + kind + `","backend":{"service":{"name":"` + service + `","port":{"number":80}}}}`
}

func TestRequestsFindTheirService(t *testing.T) {
	table := NewTable(ingresses(t,
		`{"metadata":{"namespace":"n","name":"a"},"spec":{"rules":[
			{"host":"a.example","http":{"paths":[`+path("/", "Prefix", "root")+`,`+path("/api/", "Prefix", "api")+`,`+path("/api", "Exact", "exact")+`]}},
			{"host":"*.example","http":{"paths":[`+path("/", "Prefix", "wild")+`]}},
			{"http":{"paths":[`+path("/any", "ImplementationSpecific", "any")+`]}}]}}`,
		`{"metadata":{"namespace":"n","name":"b"},"spec":{"defaultBackend":{"service":{"name":"last","port":{"name":"web"}}},
			"rules":[{"host":"a.example","http":{"paths":[`+path("/", "Prefix", "late")+`]}}]}}`))
	for _, one := range []struct{ host, path, service string }{
		{"a.example", "/", "root"},
		{"A.example:8080", "/apix", "root"},
		{"a.example", "/api", "exact"},
		{"a.example", "/api/x", "api"},
		{"b.example", "/x", "wild"},
		{"b.c.example", "/x", "last"},
		{"c", "/any/x", "any"},
		{"c", "/anyx", "last"},
	} {
		target, ok := table.Find(one.host, one.path)
		if !ok || target.Service != one.service {
			t.Errorf("%s%s leads to %q", one.host, one.path, target.Service)
		}
	}
	if _, ok := NewTable(nil).Find("a", "/"); ok {
		t.Error("nothing leads somewhere")
	}
}

func TestOnlyOwnIngressesCount(t *testing.T) {
	for text, is := range map[string]bool{
		`{"spec":{"ingressClassName":"kubake"}}`: true,
		`{"spec":{"ingressClassName":"nginx"}}`:  false,
		`{}`:                                     true,
		`{"metadata":{"annotations":{"kubernetes.io/ingress.class":"nginx"}}}`: false,
	} {
		if isOurs(ingresses(t, text)[0], "kubake") != is {
			t.Errorf("%s: not %v", text, is)
		}
	}
}

func TestServicesHaveAddresses(t *testing.T) {
	for _, one := range []struct{ service, address, problem string }{
		{`{"spec":{"clusterIP":"10.96.0.7","ports":[{"name":"x","port":1},{"name":"web","port":80}]}}`, "10.96.0.7:80", ""},
		{`{"spec":{"clusterIP":"10.96.0.7","ports":[{"port":81}]}}`, "", "the Service has no such port"},
		{`{"spec":{"clusterIP":"None","ports":[{"port":80}]}}`, "", "the Service is headless: give it an address"},
		{`{"spec":{"type":"ExternalName","externalName":"a.example"}}`, "a.example:80", ""},
	} {
		service := new(Service)
		if err := json.Unmarshal([]byte(one.service), service); err != nil {
			t.Fatal(err)
		}
		address, problem := Address(service, Target{PortNumber: 80})
		if address != one.address || problem != one.problem {
			t.Errorf("%s: %q, %q", one.service, address, problem)
		}
	}
	service := &Service{}
	service.Spec.ClusterIP = "10.96.0.7"
	if _, problem := Address(service, Target{PortName: "web"}); problem == "" {
		t.Error("a port without a name is none of a name")
	}
}
