"""`python -m orrery.gateway`."""

from orrery.gateway.serve import main

main()
