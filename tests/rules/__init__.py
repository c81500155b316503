"""For each rule, in a file named as the rule's: machines on which it must find something, and their twins."""
