#include "cli/instance/create_options.hpp"

#include <initializer_list>
#include <tuple>

namespace strata::cli {
namespace {

void add_options(
    CLI::App& command,
    std::initializer_list<std::tuple<const char*, std::vector<std::string>*, const char*, const char*>>
        rows) {
    for (const auto& [names, target, purpose, type] : rows) {
        command.add_option(names, *target, purpose)->type_name(type)->allow_extra_args(false);
    }
}

void add_options(
    CLI::App& command,
    std::initializer_list<std::tuple<const char*, std::string*, const char*, const char*>> rows) {
    for (const auto& [names, target, purpose, type] : rows) {
        command.add_option(names, *target, purpose)->type_name(type);
    }
}

} // namespace

void define_create(CLI::App& command, CreateOptions& o) {
    command.add_flag("-i,--interactive", o.interactive, "Keep standard input open");
    command.add_flag("-t,--tty", o.terminal, "Give it a terminal");
    command.add_flag("--rm", o.remove, "Remove the container when it ends");
    command.add_flag("--init", o.init, "Its first process passes signals on and reaps what others leave");
    command.add_flag("--read-only", o.read_only, "Its root cannot be written");
    command.add_flag("--privileged", o.privileged, "All capabilities, all devices, no seccomp filter");
    command.add_option("--entrypoint", o.entrypoint, "The program, in the place of the image's")
        ->type_name("PROGRAM");
    command
        .add_option("--health-cmd", o.health_command, "A line for its shell that tells whether it is well")
        ->type_name("COMMAND");
    command.add_option("--health-retries", o.health_retries, "So many failures in a row: it is not (3)")
        ->type_name("N")
        ->check(CLI::NonNegativeNumber);
    command.add_flag("--no-healthcheck", o.no_health_check, "Leave the image's health check out");
    command.add_option("--pids-limit", o.pids, "Most processes")->type_name("N");
    command.add_option("-c,--cpu-shares", o.cpu_shares, "Weight against others (1024 is usual)")
        ->type_name("N");
    command.add_option("--stop-timeout", o.stop_seconds, "Seconds from the stop signal to SIGKILL")
        ->type_name("N");
    command.add_option("--oom-score-adj", o.oom_score, "How soon the kernel kills it for memory")
        ->type_name("N");
    add_options(
        command,
        {{"--name", &o.name, "Name", "NAME"},
         {"--rootfs", &o.rootfs, "Run in this directory instead of an image", "DIR"},
         {"--platform", &o.platform, "For which machines the image is", "OS/ARCHITECTURE"},
         {"--pull", &o.pull, "When to pull the image", "missing|always|never"},
         {"-u,--user", &o.user, "Who runs the program", "USER[:GROUP]"},
         {"-w,--workdir", &o.working_directory, "Where it runs", "DIR"},
         {"--hostname", &o.hostname, "Host name", "NAME"},
         {"--domainname", &o.domainname, "NIS domain name", "NAME"},
         {"--net,--network", &o.network, "Network; bridge, without root user (a machine: user, none)",
          "NETWORK|user|bridge|none|host|container:NAME"},
         {"--ip", &o.address, "Its address in the network", "ADDRESS"},
         {"-m,--memory", &o.memory, "Memory (a machine without it: 512M)", "SIZE"},
         {"--memory-swap", &o.memory_swap, "Memory and swap together; -1 without end", "SIZE"},
         {"--memory-reservation", &o.memory_reservation, "Memory to be kept for it", "SIZE"},
         {"--cpus", &o.cpus, "Processors; for a container also 0.5", "N"},
         {"--cpuset-cpus", &o.cpuset, "On these processors", "LIST"},
         {"--cpuset-mems", &o.cpuset_mems, "On these memory nodes", "LIST"},
         {"--shm-size", &o.shm_size, "Size of /dev/shm (64M)", "SIZE"},
         {"--stop-signal", &o.stop_signal, "Signal that stops it", "SIGNAL"},
         {"--restart", &o.restart, "When to start it again", "no|always|unless-stopped|on-failure[:N]"},
         {"--health-interval", &o.health_interval, "Time between two checks (30s)", "DURATION"},
         {"--health-timeout", &o.health_timeout, "A check that takes longer has failed (30s)", "DURATION"},
         {"--health-start-period", &o.health_start_period, "While it starts, failures do not count (0s)",
          "DURATION"},
         {"--pid", &o.pid, "Processes of the host", "host"},
         {"--ipc", &o.ipc, "System V IPC of the host", "host"},
         {"--uts", &o.uts, "Host name of the host", "host"},
         {"--cidfile", &o.cid_file, "Write the ID here", "FILE"}});
    add_options(
        command,
        {{"-e,--env", &o.environment, "Set a variable; may be repeated", "NAME[=VALUE]"},
         {"--env-file", &o.environment_files, "Set the variables in a file", "FILE"},
         {"-l,--label", &o.labels, "Label", "KEY[=VALUE]"},
         {"-v,--volume", &o.volumes, "Mount a directory, or a volume by its name", "SOURCE:TARGET[:ro]"},
         {"--mount", &o.mounts, "The same at length", "type=TYPE,source=SOURCE,target=TARGET"},
         {"--tmpfs", &o.tmpfs, "Mount a file system in memory", "TARGET[:OPTIONS]"},
         {"-p,--publish", &o.publish, "Lead a port of the host to it", "[ADDRESS:][HOST:]PORT[/udp]"},
         {"--expose", &o.expose, "A port that it serves", "PORT[/udp]"},
         {"--network-alias", &o.network_aliases, "Another name of it in the network", "NAME"},
         {"--dns", &o.dns, "Name server", "ADDRESS"},
         {"--dns-search", &o.dns_search, "Domain for short names", "DOMAIN"},
         {"--add-host", &o.hosts, "A line of its /etc/hosts", "NAME:ADDRESS"},
         {"--cap-add", &o.add_capabilities, "Give a capability, or ALL", "NAME"},
         {"--cap-drop", &o.drop_capabilities, "Take a capability, or ALL", "NAME"},
         {"--security-opt", &o.security, "no-new-privileges, seccomp=unconfined, seccomp=FILE", "TEXT"},
         {"--device", &o.devices, "Give a device of the host", "PATH[:PATH[:rwm]]"},
         {"--ulimit", &o.ulimits, "Resource limit", "NAME=SOFT[:HARD]"},
         {"--sysctl", &o.sysctls, "Kernel parameter of its namespaces", "NAME=VALUE"},
         {"--group-add", &o.groups, "Further group", "GROUP"},
         {"--log-opt", &o.log_options, "max-size=SIZE, max-file=N", "TEXT"}});
}

} // namespace strata::cli
