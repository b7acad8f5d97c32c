from frrcam.cli import main

main()
