"""Be a lab's keeper; see :mod:`testbed.backends.docker_keeper.keeper`."""

from testbed.backends.docker_keeper.keeper import main

if __name__ == "__main__":
    main()
