// strata volume: directories that outlive containers.
#include "cli/instance/commands.hpp"
#include "cli/instance/context.hpp"
#include "cli/table.hpp"

#include "base/error.hpp"
#include "instance/volumes.hpp"

#include <fmt/format.h>

namespace strata::cli {
namespace {

struct Options {
    std::vector<std::string> names;
    bool quiet = false;
};

void define_names(CLI::App& command, Options& options) {
    command.add_option("VOLUME", options.names, "Name")->required();
    command.footer("Example:\n  strata volume rm pages");
}

void define_create_volume(CLI::App& command, Options& options) {
    command.add_option("VOLUME", options.names, "Name; without one it gets one");
    command.footer("Example:\n  strata volume create pages");
}

void define_list(CLI::App& command, Options& options) {
    command.add_flag("-q,--quiet", options.quiet, "Only the names");
    command.footer("Example:\n  strata volume ls -q");
}

void define_prune(CLI::App& command, Options& /*options*/) {
    command.footer("Example:\n  strata volume prune");
}

Result<int> create(const instance::Instances& instances, Options& options) {
    if (options.names.empty()) {
        options.names.emplace_back();
    }
    for (const auto& name : options.names) {
        const auto volume = instance::need_volume(instances, name);
        if (!volume) {
            return std::unexpected(volume.error());
        }
        fmt::print("{}\n", volume->name);
    }
    return success;
}

Result<int> list(const instance::Instances& instances, Options& options) {
    const auto all = instance::list_volumes(instances);
    if (!all) {
        return std::unexpected(all.error());
    }
    Table table({"VOLUME NAME", "DIRECTORY"});
    for (const auto& volume : *all) {
        if (options.quiet) {
            fmt::print("{}\n", volume.name);
        }
        table.add({volume.name, volume.path});
    }
    if (!options.quiet) {
        table.print();
    }
    return success;
}

Result<int> remove(const instance::Instances& instances, Options& options) {
    int status = success;
    for (const auto& name : options.names) {
        if (const auto removed = instance::remove_volume(instances, name); !removed) {
            status = report(removed.error(), failure);
        } else {
            fmt::print("{}\n", name);
        }
    }
    return status;
}

Result<int> prune(const instance::Instances& instances, Options& /*options*/) {
    const auto all = instance::list_volumes(instances);
    if (!all) {
        return std::unexpected(all.error());
    }
    for (const auto& volume : *all) {
        if (instance::remove_volume(instances, volume.name)) { // refused where a container has it
            fmt::print("{}\n", volume.name);
        }
    }
    return success;
}

} // namespace

void add_volume(CLI::App& root, Outcome& outcome) {
    auto* command = root.add_subcommand("volume", "Volumes: directories that outlive containers");
    command->require_subcommand(1);
    command->footer("Example:\n  strata volume create pages");
    add_instance_command<Options>(*command, outcome, "create", "Make volumes", define_create_volume, create);
    add_instance_command<Options>(*command, outcome, "ls", "List volumes", define_list, list);
    add_instance_command<Options>(*command, outcome, "rm", "Remove volumes", define_names, remove);
    add_instance_command<Options>(*command, outcome, "prune", "Remove volumes that no container has",
                                  define_prune, prune);
}

} // namespace strata::cli
