// strata run: a container of an image, or a virtual machine of a kernel, on this terminal.
#include "base/error.hpp"
#include "base/suggestion.hpp"
#include "cli/commands.hpp"
#include "cli/instance/container_run.hpp"
#include "cli/interruption.hpp"
#include "cli/parse.hpp"
#include "cli/usage_error.hpp"
#include "strata/machine.hpp"
#include "vm/confinement.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <malloc.h>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace strata::cli {
namespace {

// What the options say, before it is read.
struct Options {
    MachineConfig config;
    CreateOptions container; // and what both have: memory, processors, network, ports
    Places places;
    std::string trace, instruction_count;
    std::optional<std::string> append, initrd;
    std::vector<std::string> modules, disks;
    bool no_reboot = false, unconfined = false;
};

constexpr auto examples =
    R"(strata run [OPTIONS] IMAGE [COMMAND [ARGUMENT...]]       a container
strata run [OPTIONS] --kernel FILE                      a virtual machine
Options stand before the image; what follows it is the program's.

Examples:
  A shell in a container, which is removed when it ends:
    strata run -it --rm debian:12 bash
  A server in the background, the host's port 8080 its port 80, its data in a volume:
    strata run -d --name web -p 8080:80 -v pages:/usr/share/nginx/html nginx
  A program in a directory that is a root file system:
    strata run --rm --rootfs /srv/root sh
  A Linux kernel with an initial RAM disk, its console on this terminal:
    strata run --kernel vmlinuz --initrd initrd.gz
  With a disk as root, two processors and a port of the guest on the host's port 8080:
    strata run --kernel vmlinuz --disk root.img --append "console=ttyS0 root=/dev/vda rw" --cpus 2 -p 8080:80
  A Multiboot kernel with a module; port 0xF4 ends the run with a status:
    strata run --kernel kernel.elf --module shell.bin,--verbose
  Wait for GDB before the first instruction (in gdb: target remote :1234):
    strata run --kernel vmlinuz --initrd initrd.gz --gdb 127.0.0.1:1234
  See every exception and interrupt:
    strata run --kernel kernel.elf --trace exceptions,interrupts=trace.log

  On the host's processor, by KVM, as a model without a feature that the host lacks:
    strata run --kernel vmlinuz --engine kvm --cpu x86-64-v2,-pcid

Exit status of a container: its program's; 125 Strata failed, 126 the program cannot be run, 127 it is not there.

Exit status of a machine:
  0    the guest powered off
  1    Strata or the host failed
  2    a bad argument or file: nothing was started
  4    triple fault
  6    the guest reset itself (with --no-reboot)
  8    the guest reported a panic and reset itself
  130  stopped from outside: the escape key, or signals
  odd  the guest's own: a value V at the debug-exit port gives (V << 1) | 1)";

void define(CLI::App& command, Options& options) {
    auto& config = options.config;
    command
        .add_option("--kernel", config.kernel,
                    "Kernel: a Linux bzImage, an ELF file with PVH entry, or Multiboot")
        ->type_name("FILE");
    command.add_option("--initrd", options.initrd, "Initial RAM disk")->type_name("FILE");
    command.add_option("--module", options.modules, "Module for a Multiboot kernel; may be repeated")
        ->type_name("FILE[,ARGUMENTS]")
        ->allow_extra_args(false);
    command.add_option("--append", options.append, "Kernel command line (Linux without one: console=ttyS0)")
        ->type_name("TEXT");
    command.add_option("--disk", options.disks, "Disk image; may be repeated")
        ->type_name("FILE[,format=FORMAT][,readonly]")
        ->allow_extra_args(false);
    command
        .add_option("--cpu", config.cpu,
                    "CPU model; strata cpus lists them. Features are left out with -FEATURE")
        ->type_name("MODEL[,-FEATURE...]")
        ->capture_default_str();
    command.add_option("--engine", config.engine, "What runs the processors; strata engines lists them")
        ->type_name("ENGINE")
        ->capture_default_str();
    command.add_option("--board", config.board, "Board; strata devices lists them")
        ->type_name("BOARD")
        ->capture_default_str();
    constexpr auto wires = "stdio|none|pty|file:PATH|socket:PATH|socket:ADDRESS:PORT";
    command.add_option("--serial", config.serial, "What the first serial port is wired to")
        ->type_name(wires)
        ->capture_default_str();
    command.add_option("--console", config.console, "What the virtio console is wired to")
        ->type_name(wires)
        ->capture_default_str();
    command
        .add_option("--debug-console", config.debug_console, "What the debug console (port 0xE9) is wired to")
        ->type_name(wires)
        ->capture_default_str();
    command.add_flag("--no-reboot", options.no_reboot,
                     "End when the guest resets itself, with exit status 6");
    command.add_flag("--unconfined", options.unconfined,
                     "Let the monitor make any system call (for profilers and debuggers of the monitor)");
    command.add_option("--gdb", config.gdb, "Wait for GDB at this address")
        ->type_name("ADDRESS:PORT|unix:PATH");
    command
        .add_option("--trace", options.trace,
                    "Trace insn, exceptions, interrupts, ports to a file or standard error")
        ->type_name("WHAT[,WHAT...][=FILE]");
    command
        .add_option(
            "--icount", options.instruction_count,
            "Count time in instructions of 2^N ns, so that a run can be repeated (one CPU, not by KVM)")
        ->type_name("[shift=]N");
    command
        .add_option("--case", config.case_file,
                    "Where --engine lockstep leaves a difference for strata debug reduce")
        ->type_name("FILE");
    command
        .add_option("--translation-cache", config.translation_cache,
                    "Keep what is translated in this file, so that a later machine need not translate it; "
                    "the file is yours, and made if it is missing")
        ->type_name("FILE");
    command.footer(examples);
}

Result<unsigned> parse_shift(std::string_view text) {
    constexpr std::string_view name = "shift=";
    const std::string_view digits = text.substr(text.starts_with(name) ? name.size() : 0);
    unsigned shift = 0;
    const auto [rest, failure] = std::from_chars(digits.data(), digits.data() + digits.size(), shift);
    if (failure != std::errc{} || rest != digits.data() + digits.size()) {
        return fail(fmt::format("--icount: '{}' is not a number", text),
                    "--icount 3: an instruction takes 2^3 nanoseconds");
    }
    return shift;
}

Result<MachineConfig> to_config(const Options& options, const CLI::App& command) {
    MachineConfig config = options.config;
    const auto& shared = options.container;
    const auto memory = parse_size(command.count("--memory") == 0 ? "512M" : shared.memory);
    if (!memory) {
        return std::unexpected(memory.error());
    }
    config.memory = *memory;
    config.name = shared.name;
    config.command_line = options.append;
    if (options.initrd) {
        config.modules.push_back({*options.initrd});
    }
    for (const auto& text : options.modules) {
        config.modules.push_back(parse_module(text));
    }
    for (const auto& text : options.disks) {
        auto disk = parse_disk(text);
        if (!disk) {
            return std::unexpected(disk.error());
        }
        config.disks.push_back(std::move(*disk));
    }
    const std::vector<std::string_view> networks{"user", "none"};
    if (command.count("--network") > 0 && std::ranges::find(networks, shared.network) == networks.end()) {
        return fail(fmt::format("--net: '{}' is not possible", shared.network),
                    unknown_word_hint(shared.network, networks, "choose from"));
    }
    config.network = shared.network != "none";
    config.forwards = shared.publish;
    if (!shared.cpus.empty()) {
        const char* end = shared.cpus.data() + shared.cpus.size();
        if (const auto [rest, failure] = std::from_chars(shared.cpus.data(), end, config.cpus);
            failure != std::errc{} || rest != end) {
            return fail(fmt::format("--cpus: '{}' is not a number that fits", shared.cpus),
                        "see strata run --help");
        }
    }
    if (!options.trace.empty()) {
        auto trace = parse_trace(options.trace);
        if (!trace) {
            return std::unexpected(trace.error());
        }
        config.trace = std::move(*trace);
    }
    if (!options.instruction_count.empty()) {
        const auto shift = parse_shift(options.instruction_count);
        if (!shift) {
            return std::unexpected(shift.error());
        }
        config.instruction_shift = *shift;
    }
    config.reboot = !options.no_reboot;
    return config;
}

int run_machine(const Options& options, const CLI::App& command) {
    const auto config = to_config(options, command);
    if (!config) {
        return report(config.error(), bad_argument);
    }
    // Processors' threads take from the main heap, which grows by so much at a time: a heap of their own
    // grows by system calls for every few pages.
    mallopt(M_ARENA_MAX, 1);
    mallopt(M_TOP_PAD, 1 << 20);
    Interruption interruption; // before any thread starts, since threads inherit the signal mask
    auto machine = Machine::create(*config);
    if (!machine) {
        return report(machine.error(), bad_argument);
    }
    if (!options.unconfined) {
        const std::string engine = (*machine)->engine();
        const bool may_switch = !config->name.empty();
        const bool generates_code = engine.starts_with("translator") || engine == "lockstep";
        const bool uses_kvm = engine == "kvm" || engine == "lockstep-kvm";
        if (auto confined =
                vm::confine({.generates_code = may_switch || generates_code, .kvm = may_switch || uses_kvm});
            !confined) {
            return report(confined.error(), failure);
        }
    }
    for (const auto& line : (*machine)->announcements()) {
        fmt::print(stderr, "strata: {}\n", line);
    }
    interruption.watch(**machine);
    const auto result = (*machine)->run();
    interruption.end();
    machine->reset(); // gives the terminal back before anything is written to it
    if (!result) {
        return report(result.error(), failure);
    }
    if (result->instructions) {
        fmt::print(stderr, "strata: {} instructions\n", *result->instructions);
    }
    if (!result->message.empty()) {
        fmt::print(stderr, "strata: {}\n", result->message);
    }
    return result->status;
}

// Of a container what is left to do comes later.
void run(const std::shared_ptr<Options>& given, const CLI::App& command, Outcome& outcome) {
    const auto& options = *given;
    const auto& container = options.container;
    const auto& rest = container.rest;
    const bool machine = !options.config.kernel.empty();
    if (!rest.empty() && (machine || rest.front().starts_with('-'))) {
        outcome.status = report(unexpected_word(rest.front(), command), bad_argument);
    } else if (machine) {
        outcome.status = run_machine(options, command);
    } else if (rest.empty() && container.rootfs.empty()) {
        outcome.status = report({"nothing to run: neither an image nor --kernel is named",
                                 "strata run -it debian:12 bash; see strata run --help"},
                                bad_argument);
    } else {
        outcome.later = [given] { return run_container(given->places, given->container); };
    }
}

} // namespace

void add_run(CLI::App& root, Outcome& outcome) {
    auto* command =
        root.add_subcommand("run", "Run a container of an image, or a virtual machine of a kernel");
    auto options = std::make_shared<Options>();
    define(*command, *options);
    define_create(*command, options->container);
    command->add_flag("-d,--detach", options->container.detach,
                      "Run a container in the background, and print its ID");
    define_places(*command, options->places);
    take_command(*command);
    command->callback([options, command, &outcome] {
        options->container.rest = command->remaining();
        run(options, *command, outcome);
    });
}

} // namespace strata::cli
