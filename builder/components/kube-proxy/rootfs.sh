#!/bin/sh
# Copies the named programs out of the running Debian into the directory $1, with the libraries they load and iptables'
# extensions, and nothing else: usage: rootfs.sh DIRECTORY PROGRAM...
set -eu
root=$1
shift

# Debian has merged /usr: the same links here, so that paths such as /lib64/ld-linux-x86-64.so.2 and /sbin/iptables hold.
for directory in bin lib sbin; do
	mkdir -p "$root/usr/$directory"
	ln -s "usr/$directory" "$root/$directory"
done
if [ -d /usr/lib64 ]; then
	mkdir -p "$root/usr/lib64"
	ln -s usr/lib64 "$root/lib64"
fi
# iptables takes a lock in /run; kube-proxy runs as in its upstream image, which has a /tmp.
mkdir -p "$root/run" "$root/etc"
install -d -m 1777 "$root/tmp"

# Copies a file to the same path below $root, every symbolic link on the way to it included.
take() {
	path=$1
	while :; do
		path=$(realpath -s "$(realpath "$(dirname "$path")")/$(basename "$path")")
		[ ! -e "$root$path" ] || return 0
		mkdir -p "$root$(dirname "$path")"
		cp -a "$path" "$root$path"
		[ -L "$path" ] || return 0
		target=$(readlink "$path")
		case $target in
		/*) path=$target ;;
		*) path=$(dirname "$path")/$target ;;
		esac
	done
}

extensions=$(dirname "$(find /usr/lib -name libxt_standard.so)")
mkdir -p "$root$extensions"
cp -a "$extensions/." "$root$extensions/"

programs=
for program; do
	path=$(command -v "$program") || { echo "rootfs.sh: no program $program" >&2; exit 1; }
	programs="$programs $path"
	take "$path"
done

# ldd prints 'NAME => PATH (ADDRESS)', and for the loader 'PATH (ADDRESS)'.
# shellcheck disable=SC2086 # a list of paths without spaces
ldd $programs "$extensions"/*.so | sed -nE 's/^\t(.* => )?(\/[^ ]+) \(0x.*/\2/p' | sort -u | while read -r library; do
	take "$library"
done
