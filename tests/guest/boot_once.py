"""One boot for script/boots: to a shell, a look around, and an orderly power-off. Arguments: the flavour, then options of
`strata run`."""
import sys

from guest import Guest


def main():
    flavour, options = sys.argv[1], sys.argv[2:]
    with Guest(flavour, options) as guest:
        try:
            if "none" not in options:
                assert "10.0.2.15" in guest.check("ip -4 addr show scope global"), "no address"
                guest.check("ping -c 1 -W 5 10.0.2.2")
            processors = options[options.index("--cpus") + 1] if "--cpus" in options else "1"
            assert guest.check("nproc") == processors, "a processor is missing"
            guest.check("(for i in 1 2 3 4; do (head -c 1000000 /dev/zero | md5sum >/dev/null) & done; wait)")
            trouble = guest.trouble()
            assert not trouble, trouble
            status = guest.power_off()
            assert status == 0, f"exit status {status}"
        finally:
            print(guest.log)


if __name__ == "__main__":
    main()
