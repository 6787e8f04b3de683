// Making and running containers from the command line.
#pragma once

#include "cli/instance/context.hpp"
#include "cli/instance/create_options.hpp"

namespace strata::cli {

// Makes the container of the options, with its image pulled if need be. `unstarted` as in
// Instances::create().
[[nodiscard]] Result<instance::Instance>
create_container(const instance::Instances& instances, const CreateOptions& options,
                 std::optional<instance::UnfinishedMark>* unstarted = nullptr);

// `strata run` of a container: the exit status; 125 when Strata failed, 126 and 127 when the program cannot
// be run or is not there.
[[nodiscard]] int run_container(const Places& places, const CreateOptions& options);

// Starts it, with this process's streams attached; the exit code. Clears the mark of one that was just made.
[[nodiscard]] Result<int> start_attached(const instance::Instances& instances,
                                         const instance::Instance& instance,
                                         std::optional<instance::UnfinishedMark> unstarted = {});

} // namespace strata::cli
