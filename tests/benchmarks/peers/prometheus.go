// prometheus/procfs reads DIRECTORY/mountinfo once for each line of standard input; prints nanoseconds and mounts.
package main

import (
	"bufio"
	"fmt"
	"os"
	"time"

	"github.com/prometheus/procfs"
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
		if live {
			// As its own GetProcMounts does, whose path is fixed.
			if data, err = os.ReadFile(path); err != nil {
				panic(err)
			}
		}
		mounts, err := procfs.ParseMountInfo(data)
		if err != nil {
			panic(err)
		}
		fmt.Println(time.Since(begun).Nanoseconds(), len(mounts))
	}
}
