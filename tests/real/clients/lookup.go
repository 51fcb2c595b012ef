// What a program in Go does, with Go's own resolver, which reads
// /etc/resolv.conf. Words are pairs of HOST, SRV or TXT and a name; it prints a
// line for each.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sort"
	"strings"
)

func lookup(resolver *net.Resolver, kind, name string) ([]string, error) {
	ctx := context.Background()
	switch kind {
	case "SRV":
		_, records, err := resolver.LookupSRV(ctx, "", "", name)
		found := []string{}
		for _, record := range records {
			found = append(found, fmt.Sprintf("%s:%d", record.Target, record.Port))
		}
		return found, err
	case "TXT":
		return resolver.LookupTXT(ctx, name)
	default:
		return resolver.LookupHost(ctx, name)
	}
}

func main() {
	resolver := &net.Resolver{PreferGo: true}
	for n := 1; n+1 < len(os.Args); n += 2 {
		found, err := lookup(resolver, os.Args[n], os.Args[n+1])
		sort.Strings(found)
		told := strings.Join(found, " ")
		var failure *net.DNSError
		if errors.As(err, &failure) && failure.IsNotFound {
			told = "no such name"
		} else if err != nil {
			told = err.Error()
		}
		fmt.Println(os.Args[n], os.Args[n+1], told)
	}
}
