"""What stands between the network and the routes: who calls, how much, how fast, and who may see what."""
