// moby/sys reads DIRECTORY/mountinfo once for each line of standard input, and prints nanoseconds and mounts.
package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"time"

	"github.com/moby/sys/mountinfo"
)

func main() {
	path := os.Args[1] + "/mountinfo"
	live := len(os.Args) > 2 && os.Args[2] == "live"
	data, err := os.ReadFile(path)
	if err != nil {
		panic(err)
	}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		begun := time.Now()
		var mounts []*mountinfo.Info
		if live {
			file, err := os.Open(path)
			if err != nil {
				panic(err)
			}
			mounts, err = mountinfo.GetMountsFromReader(file, nil)
			if err != nil {
				panic(err)
			}
			file.Close()
		} else if mounts, err = mountinfo.GetMountsFromReader(bytes.NewReader(data), nil); err != nil {
			panic(err)
		}
		fmt.Println(time.Since(begun).Nanoseconds(), len(mounts))
	}
}
