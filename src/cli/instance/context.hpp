// What the commands about containers share: the state, and the way they are added to the command line.
#pragma once

#include "cli/command.hpp"
#include "instance/instances.hpp"

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace strata::cli {

// Where the state and the images are; options that every command about containers has.
struct Places {
    std::string directory = instance::Instances::default_directory();
    std::string store = image::Store::default_directory();
};

void define_places(CLI::App& command, Places& places);

[[nodiscard]] Result<instance::Instances> open_instances(const Places& places);

// Adds a command: `define` declares its options, `act` does it once the state is open, and gives the exit
// status.
template <class Options>
CLI::App* add_instance_command(CLI::App& root, Outcome& outcome, const char* name, const char* purpose,
                               void (*define)(CLI::App&, Options&),
                               Result<int> (*act)(const instance::Instances&, Options&)) {
    struct All {
        Places places;
        Options options{};
    };

    auto* command = root.add_subcommand(name, purpose);
    auto all = std::make_shared<All>();
    define(*command, all->options);
    define_places(*command, all->places);
    command->callback([all, act, command, &outcome] {
        if constexpr (requires { all->options.rest; }) {
            all->options.rest = command->remaining();
        }
        outcome.later = [all, act] {
            const auto instances = open_instances(all->places);
            const auto done =
                instances ? act(*instances, all->options) : Result<int>(std::unexpected(instances.error()));
            return done ? *done : report(done.error(), failure);
        };
    });
    return command;
}

// A container by name, ID, or the beginning of an ID, and all of them. One whose monitor was killed has
// another one then.
[[nodiscard]] Result<instance::Instance> find_container(const instance::Instances& instances,
                                                        const std::string& name);
[[nodiscard]] Result<std::vector<instance::Instance>> list_containers(const instance::Instances& instances);

// Does something to each container that is named; prints the names of those it was done to, and the errors of
// the others. With `may_be_absent` a name that there is no container of is passed over.
[[nodiscard]] Result<int> for_each_named(const instance::Instances& instances,
                                         const std::vector<std::string>& names,
                                         const std::function<Result<void>(const instance::Instance&)>& act,
                                         bool may_be_absent = false);

// After options, the words of a program's command line must not be read as options of ours.
void take_command(CLI::App& command);

} // namespace strata::cli
