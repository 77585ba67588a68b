"""`python -m orrery.dispatcher`."""

from orrery.dispatcher.serve import main

main()
