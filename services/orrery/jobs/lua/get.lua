return snapshot(ARGV[1])
