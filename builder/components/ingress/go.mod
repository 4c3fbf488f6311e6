module kubake/components/ingress

go 1.26.0
