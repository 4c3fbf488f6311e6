// Package multicall lets several Kubernetes programs live in one executable, which then acts as the one it is called by.
//
// A Go program carries everything it imports, and the Kubernetes programs import mostly the same packages, so that two
// executables of several programs each are less than half the size of seven separate ones. See ../../README.md.
package multicall

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/pflag"
)

// Program is one of the programs of the executable.
type Program struct {
	// Run is the body of the program's upstream main function.
	Run func()
	// GlobalFlags chooses the global flags that the program has upstream; nil stands for none. Packages define such flags
	// as they are initialised, for every program of the executable, and some programs take up all that they find.
	GlobalFlags func(name string) bool
}

// AllFlags is for programs that define all the global flags of their executable.
func AllFlags(string) bool { return true }

// OnlyFlags is for programs that define some of them.
func OnlyFlags(names ...string) func(string) bool {
	return func(name string) bool { return slices.Contains(names, name) }
}

// Main runs the program whose name the executable was called by (a symbolic link), or the one its first argument names.
func Main(programs map[string]Program) {
	program, ok := programs[filepath.Base(os.Args[0])]
	if !ok && len(os.Args) > 1 {
		if program, ok = programs[os.Args[1]]; ok {
			os.Args = os.Args[1:]
		}
	}
	if !ok {
		fmt.Fprintf(os.Stderr, "%s: call it by the name, or with the first argument, of one of %v\n",
			os.Args[0], slices.Sorted(maps.Keys(programs)))
		os.Exit(64)
	}
	hideFlags(program.GlobalFlags)
	program.Run()
}

// hideFlags replaces the two global flag sets, Go's and pflag's, by ones without the flags of other programs.
func hideFlags(keep func(string) bool) {
	goFlags, pFlags := flag.CommandLine, pflag.CommandLine
	flag.CommandLine = flag.NewFlagSet(os.Args[0], flag.ExitOnError)
	flag.CommandLine.Usage = goFlags.Usage
	pflag.CommandLine = pflag.NewFlagSet(os.Args[0], pflag.ExitOnError)
	if keep == nil {
		return
	}
	goFlags.VisitAll(func(f *flag.Flag) {
		if keep(f.Name) {
			flag.Var(f.Value, f.Name, f.Usage)
		}
	})
	pFlags.VisitAll(func(f *pflag.Flag) {
		if keep(f.Name) {
			pflag.CommandLine.AddFlag(f)
		}
	})
}
