// Connects to an address with one key exchange group after the other, and prints what was agreed on.
package main

import (
	"crypto/tls"
	"fmt"
	"os"
)

func main() {
	groups := []tls.CurveID{tls.SecP384r1MLKEM1024, tls.SecP256r1MLKEM768, tls.X25519MLKEM768, tls.X25519, tls.CurveP256, tls.CurveP384, tls.CurveP521}
	for _, group := range groups {
		config := tls.Config{InsecureSkipVerify: true, CurvePreferences: []tls.CurveID{group}}
		connection, err := tls.Dial("tcp", os.Args[1], &config)
		if err != nil {
			fmt.Println(group, "refused")
			continue
		}
		state := connection.ConnectionState()
		fmt.Println(group, state.CurveID, tls.VersionName(state.Version))
		connection.Close()
	}
}
