# Builds the appliance image (a machine with Kubernetes installed and no cluster yet: the default target) and the images of
# the control plane (targets kube-apiserver, kube-controller-manager, kube-scheduler, kube-proxy, etcd, coredns, pause). Further
# targets belong to add-ons (builder/addons); nothing else needs them.
#
#   docker buildx build -t kubake/appliance .
#   docker buildx build -t kubake/etcd --target etcd .
#
# There is no `# syntax=` line: it would fetch a frontend from a registry, and this builds with a registry that serves only
# the base image, or with none. Where TLS is intercepted, pass the bundle of certificate authorities that this host
# trusts as a secret; it is mounted for the commands that download something and becomes part of no layer:
#
#   docker buildx build --secret id=ca,src=/etc/ssl/certs/ca-certificates.crt ...

ARG BASE_IMAGE=debian:trixie-slim

# The source of the components: every component has a stage NAME-$COMPONENT_SOURCE whose /out is copied to an image's /.
# `modules` compiles them from Go modules, pinned in builder/components.
ARG COMPONENT_SOURCE=modules

# One of the directories in builder/components/versions, which pin Kubernetes with the etcd and CoreDNS that belong to it.
ARG KUBERNETES_VERSION=v1.36.3


FROM ${BASE_IMAGE} AS base


# ---- Components from Go modules -------------------------------------------------------------------------------------

FROM base AS go
RUN apt-get update -q \
 && apt-get install -qy --no-install-recommends ca-certificates golang-1.24-go \
 && rm -rf /var/lib/apt/lists/*
# Debian's Go only fetches the wanted one, through the module proxy and checked against the checksum database. One version for all components, so that they share the compiled standard library.
ARG GO_VERSION=1.26.8
ENV PATH=/usr/lib/go-1.24/bin:$PATH \
    GOTOOLCHAIN=go${GO_VERSION} \
    CGO_ENABLED=0 \
    GOFLAGS="-trimpath -buildvcs=false"
WORKDIR /src


FROM go AS kubernetes-modules
ARG GOPROXY
ARG KUBERNETES_VERSION
COPY builder/components/kubernetes .
COPY builder/components/versions/${KUBERNETES_VERSION}/kubernetes .
# An image must not be tagged with one version and hold another.
RUN --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \
    --mount=type=cache,id=kubake-go-mod,target=/root/go/pkg/mod \
    pinned=$(go list -m -f '{{.Version}}' k8s.io/kubernetes) \
 && if [ "$pinned" != "$KUBERNETES_VERSION" ]; then \
      echo "builder/components/versions/$KUBERNETES_VERSION/kubernetes/go.mod pins $pinned" >&2; exit 1; \
    fi
# Build tags as upstream's. The version goes where `kubectl version`, `kubelet --version` and the API server's /version look
# for it; the build date is that of the version, so equal sources give equal binaries; a module has no commit to name.
RUN --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \
    --mount=type=cache,id=kubake-go-mod,target=/root/go/pkg/mod \
    --mount=type=cache,id=kubake-go-build,target=/root/.cache/go-build \
    date=$(go list -m -f '{{.Time.UTC.Format "2006-01-02T15:04:05Z"}}' k8s.io/kubernetes) \
 && minor=${KUBERNETES_VERSION#v1.} && minor=${minor%%.*} \
 && ldflags="-s -w" \
 && for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do \
      ldflags="$ldflags -X $package.gitVersion=$KUBERNETES_VERSION -X $package.gitMajor=1 -X $package.gitMinor=$minor"; \
      ldflags="$ldflags -X $package.gitCommit= -X $package.gitTreeState=archive -X $package.buildDate=$date"; \
    done \
 && go build -tags selinux,notest,grpcnotrace -ldflags "$ldflags" -o /out/control-plane/usr/local/bin/kube-control-plane ./control-plane \
 && go build -tags selinux,notest,grpcnotrace -ldflags "$ldflags" -o /out/node/usr/local/bin/kube-node ./node
# Two executables hold the seven programs and act as the one whose name they are called by; builder/components/README.md
# explains why.
RUN for program in kube-apiserver kube-controller-manager kube-proxy kube-scheduler; do \
      ln -s kube-control-plane /out/control-plane/usr/local/bin/$program; \
    done \
 && for program in kubeadm kubectl kubelet; do \
      ln -s kube-node /out/node/usr/local/bin/$program; \
    done \
 && install -d -m 1777 /out/control-plane/tmp


FROM go AS etcd-modules
ARG GOPROXY
ARG KUBERNETES_VERSION
COPY builder/components/versions/${KUBERNETES_VERSION}/etcd .
RUN --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \
    --mount=type=cache,id=kubake-go-mod,target=/root/go/pkg/mod \
    --mount=type=cache,id=kubake-go-build,target=/root/.cache/go-build \
    go build -ldflags "-s -w" -o /out/usr/local/bin/etcd go.etcd.io/etcd/server/v3 \
 && go build -ldflags "-s -w" -o /out/usr/local/bin/ go.etcd.io/etcd/etcdctl/v3 go.etcd.io/etcd/etcdutl/v3


FROM go AS coredns-modules
ARG GOPROXY
ARG KUBERNETES_VERSION
COPY builder/components/versions/${KUBERNETES_VERSION}/coredns .
RUN --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \
    --mount=type=cache,id=kubake-go-mod,target=/root/go/pkg/mod \
    --mount=type=cache,id=kubake-go-build,target=/root/.cache/go-build \
    go build -tags grpcnotrace -ldflags "-s -w" -o /out/coredns github.com/coredns/coredns


FROM go AS containerd-modules
ARG GOPROXY
COPY builder/components/containerd .
# Tags as in upstream's static build, less the snapshotters that need a block device or a file system of their own. The shim
# speaks ttrpc only: without gRPC each of the many that run is a third smaller.
RUN --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \
    --mount=type=cache,id=kubake-go-mod,target=/root/go/pkg/mod \
    --mount=type=cache,id=kubake-go-build,target=/root/.cache/go-build \
    module=github.com/containerd/containerd/v2 \
 && tags=urfave_cli_no_docs,osusergo,netgo,static_build,no_btrfs,no_devmapper,no_zfs \
 && ldflags="-s -w -X $module/version.Version=$(go list -m -f '{{.Version}}' $module)" \
 && go build -tags $tags -ldflags "$ldflags" -o /out/usr/local/bin/ $module/cmd/containerd $module/cmd/ctr \
 && go build -tags $tags,no_grpc -ldflags "$ldflags" -o /out/usr/local/bin/ $module/cmd/containerd-shim-runc-v2


FROM go AS cni-plugins-modules
ARG GOPROXY
COPY builder/components/cni-plugins .
RUN --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \
    --mount=type=cache,id=kubake-go-mod,target=/root/go/pkg/mod \
    --mount=type=cache,id=kubake-go-build,target=/root/.cache/go-build \
    module=github.com/containernetworking/plugins \
 && ldflags="-s -w -X $module/pkg/utils/buildversion.BuildVersion=$(go list -m -f '{{.Version}}' $module)" \
 && mkdir -p /out/opt/cni/bin \
 && go build -ldflags "$ldflags" -o /out/opt/cni/bin/ tool


FROM go AS cri-tools-modules
ARG GOPROXY
COPY builder/components/cri-tools .
RUN --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \
    --mount=type=cache,id=kubake-go-mod,target=/root/go/pkg/mod \
    --mount=type=cache,id=kubake-go-build,target=/root/.cache/go-build \
    module=sigs.k8s.io/cri-tools \
 && version=$(go list -m -f '{{.Version}}' $module) \
 && go build -ldflags "-s -w -X $module/pkg/version.Version=${version#v}" -o /out/usr/local/bin/ $module/cmd/crictl


# Version flags as upstream's; the package is client-go's, and so is what `kubectl get --raw /version` of it would say.
FROM go AS metrics-server-modules
ARG GOPROXY
COPY builder/components/metrics-server .
RUN --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \
    --mount=type=cache,id=kubake-go-mod,target=/root/go/pkg/mod \
    --mount=type=cache,id=kubake-go-build,target=/root/.cache/go-build \
    module=sigs.k8s.io/metrics-server \
 && version=k8s.io/client-go/pkg/version \
 && ldflags="-s -w -X $version.gitVersion=$(go list -m -f '{{.Version}}' $module) -X $version.gitCommit=" \
 && ldflags="$ldflags -X $version.buildDate=$(go list -m -f '{{.Time.UTC.Format "2006-01-02T15:04:05Z"}}' $module)" \
 && go build -tags grpcnotrace -ldflags "$ldflags" -o /out/metrics-server $module/cmd/metrics-server


FROM go AS helm-modules
ARG GOPROXY
COPY builder/components/helm .
RUN --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \
    --mount=type=cache,id=kubake-go-mod,target=/root/go/pkg/mod \
    --mount=type=cache,id=kubake-go-build,target=/root/.cache/go-build \
    module=helm.sh/helm/v4 \
 && ldflags="-s -w -X $module/internal/version.version=$(go list -m -f '{{.Version}}' $module)" \
 && go build -tags grpcnotrace -ldflags "$ldflags" -o /out/usr/local/bin/helm $module/cmd/helm


FROM kubernetes-${COMPONENT_SOURCE} AS kubernetes
FROM etcd-${COMPONENT_SOURCE} AS etcd-programs
FROM coredns-${COMPONENT_SOURCE} AS coredns-programs
FROM containerd-${COMPONENT_SOURCE} AS containerd
FROM cni-plugins-${COMPONENT_SOURCE} AS cni-plugins
FROM cri-tools-${COMPONENT_SOURCE} AS cri-tools
FROM metrics-server-${COMPONENT_SOURCE} AS metrics-server-programs
FROM helm-${COMPONENT_SOURCE} AS helm-programs


# ---- Our own programs -----------------------------------------------------------------------------------------------

# It needs only Go's standard library. Its tests take seconds.
FROM go AS ingress-program
COPY builder/components/ingress .
RUN --mount=type=cache,id=kubake-go-build,target=/root/.cache/go-build \
    --mount=type=cache,id=kubake-go-mod,target=/root/go/pkg/mod \
    --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \
    go test . && go build -ldflags "-s -w" -o /out/ingress .


# musl, because a program this small would consist of glibc's start-up code, and every pod runs one.
FROM base AS pause-program
RUN apt-get update -q \
 && apt-get install -qy --no-install-recommends gcc musl-tools \
 && rm -rf /var/lib/apt/lists/*
COPY builder/components/pause/pause.c .
RUN mkdir /out && musl-gcc -Os -Wall -Wextra -Werror -static -s -o /out/pause pause.c


FROM base AS rust
RUN apt-get update -q \
 && apt-get install -qy --no-install-recommends ca-certificates cargo gcc libc6-dev rustc \
 && rm -rf /var/lib/apt/lists/*
# The path of the mounted secret, because the default of cargo depends on its build.
ENV CARGO_HTTP_CAINFO=/etc/ssl/certs/ca-certificates.crt
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY builder/Cargo.toml builder/
COPY tests/Cargo.toml tests/
# cargo loads every member of the workspace before it builds one, so the others get the files that their manifests imply.
# Their sources stay out: this image must not be rebuilt because a test changed.
RUN mkdir -p builder/src tests/src tests/e2e tests/structure \
 && touch builder/src/lib.rs builder/src/main.rs tests/src/lib.rs tests/e2e/main.rs tests/structure/main.rs
COPY init init
# The target directory is a cache and gone after the command, so the program is copied out of it. cargo decides by time
# stamps what to compile again, and those of a context are not always newer than the cache: the touch settles it.
RUN --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \
    --mount=type=cache,id=kubake-cargo-registry,target=/root/.cargo/registry \
    --mount=type=cache,id=kubake-cargo-target,target=/src/target,sharing=locked \
    find init -name '*.rs' -exec touch {} + \
 && cargo build --release --locked -p kubake-init --bin kubake-init \
 && install -D target/release/kubake-init /out/usr/local/bin/kubake-init


# ---- Images of the control plane ------------------------------------------------------------------------------------
# Only programs: nothing to update, nothing to unpack, no shell. No layer may contain a whiteout (a deleted file): baked
# layers are laid out as overlay directories inside an image, where a whiteout cannot be created.

# The layer that the four Kubernetes images share.
FROM scratch AS kube-control-plane
COPY --from=kubernetes /out/control-plane /
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

FROM kube-control-plane AS kube-apiserver
ENTRYPOINT ["/usr/local/bin/kube-apiserver"]

FROM kube-control-plane AS kube-controller-manager
ENTRYPOINT ["/usr/local/bin/kube-controller-manager"]

FROM kube-control-plane AS kube-scheduler
ENTRYPOINT ["/usr/local/bin/kube-scheduler"]


# kube-proxy runs these: iptables with its two backends, nft, conntrack to forget stale UDP flows, ipset for IPVS.
FROM base AS kube-proxy-rootfs
RUN apt-get update -q \
 && apt-get install -qy --no-install-recommends conntrack ipset iptables nftables \
 && rm -rf /var/lib/apt/lists/*
COPY builder/components/kube-proxy/rootfs.sh /usr/local/bin/
RUN rootfs.sh /rootfs conntrack ipset nft \
      iptables iptables-save iptables-restore ip6tables ip6tables-save ip6tables-restore \
      iptables-nft iptables-nft-save iptables-nft-restore ip6tables-nft ip6tables-nft-save ip6tables-nft-restore \
      iptables-legacy iptables-legacy-save iptables-legacy-restore \
      ip6tables-legacy ip6tables-legacy-save ip6tables-legacy-restore

FROM kube-control-plane AS kube-proxy
COPY --from=kube-proxy-rootfs /rootfs /
ENTRYPOINT ["/usr/local/bin/kube-proxy"]


FROM scratch AS etcd
COPY --from=etcd-programs /out /
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
EXPOSE 2379 2380
ENTRYPOINT ["/usr/local/bin/etcd"]

# Upstream's image has an unprivileged user and a file capability for port 53. A capability is an extended attribute, which
# some layer stores drop. kubeadm drops all capabilities but the one for the port, so root has no more than that here.
FROM scratch AS coredns
COPY --from=coredns-programs /out /
EXPOSE 53 53/udp
ENTRYPOINT ["/coredns"]

FROM scratch AS pause
COPY --from=pause-program /out /
USER 65535:65535
ENTRYPOINT ["/pause"]


# ---- Add-ons --------------------------------------------------------------------------------------------------------
# Images, as above; and programs, whose files are copied over those of the node.

FROM scratch AS metrics-server
COPY --from=metrics-server-programs /out /
USER 65534:65534
ENTRYPOINT ["/metrics-server"]

FROM scratch AS ingress
COPY --from=ingress-program /out /
USER 65534:65534
ENTRYPOINT ["/ingress"]

FROM scratch AS helm
COPY --from=helm-programs /out /


# ---- The appliance --------------------------------------------------------------------------------------------------

FROM base AS system
# Left out of packages for good, later ones too: documentation (licences stay), and the containerd 1.7 that docker.io depends on, since
# Kubernetes 1.36 needs containerd 2, which dockerd shares with it.
RUN printf 'path-exclude=%s\n' \
      '/usr/bin/containerd*' /usr/bin/ctr \
      '/usr/share/doc/*' '/usr/share/info/*' '/usr/share/locale/*' '/usr/share/man/*' '/usr/share/lintian/*' \
      '/usr/share/bash-completion/*' '/usr/share/zsh/*' '/usr/share/fish/*' \
      > /etc/dpkg/dpkg.cfg.d/kubake \
 && echo 'path-include=/usr/share/doc/*/copyright' >> /etc/dpkg/dpkg.cfg.d/kubake
# Programs that kubelet, kubeadm, kube-proxy's rules and containerd call, those for volumes of pods among them (NFS, ext4, xfs),
# and tools for people: ip, ps. The package xfsprogs needs Python and ICU for a program that nothing calls: 73 MB, so only the
# programs that kubelet calls are taken out of it.
RUN apt-get update -q \
 && apt-get install -qy --no-install-recommends \
      apparmor ca-certificates conntrack crun e2fsprogs ethtool iproute2 iptables kmod libinih1 liburcu8t64 mount nfs-common \
      nftables procps runc socat util-linux \
 && cd /tmp && apt-get download -q xfsprogs && dpkg-deb --extract xfsprogs_*.deb xfsprogs \
 && install xfsprogs/usr/sbin/mkfs.xfs xfsprogs/usr/sbin/xfs_growfs xfsprogs/usr/sbin/xfs_repair \
      xfsprogs/usr/sbin/xfs_io xfsprogs/usr/sbin/fsck.xfs /usr/sbin/ \
 && install -D xfsprogs/usr/share/doc/xfsprogs/copyright /usr/share/doc/xfsprogs/copyright \
 && rm -rf xfsprogs xfsprogs_*.deb && mkfs.xfs -V && xfs_repair -V && xfs_io -V \
 && apt-get clean \
 && rm -rf /var/lib/apt/lists/* /var/cache/ldconfig/aux-cache /var/log/apt /var/log/dpkg.log
RUN apt-get update -q \
 && apt-get install -qy --no-install-recommends docker-buildx docker-cli docker.io \
 && apt-get clean \
 && rm -rf /var/lib/apt/lists/* /var/cache/ldconfig/aux-cache /var/log/apt /var/log/dpkg.log
# Each container is a machine of its own and must not share an identity; an empty file means "not yet".
RUN : > /etc/machine-id
# Components that change seldom come first, so that an update replaces few layers.
COPY --from=cni-plugins /out /
COPY --from=cri-tools /out /
COPY --from=etcd-programs /out/usr/local/bin/etcdutl /usr/local/bin/
COPY --from=containerd /out /
COPY --from=kubernetes /out/node /
COPY builder/components/cri-tools/crictl.yaml /etc/crictl.yaml
# KUBECONFIG is for people: `docker exec CONTAINER kubectl get nodes`.
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    KUBECONFIG=/etc/kubernetes/admin.conf \
    container=docker
# The image store, Kubernetes' and Docker's: overlay directories cannot lie on the container's own overlay.
VOLUME ["/var/lib/containerd", "/var/lib/docker"]
EXPOSE 2375 2376 8443 10080 10088
STOPSIGNAL SIGTERM


# Last and the default. Our own program comes on top: a change of it is one thin layer.
FROM system AS appliance
COPY --from=rust /out /
ENTRYPOINT ["/usr/local/bin/kubake-init"]
