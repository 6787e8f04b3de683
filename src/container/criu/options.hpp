// What a dump and a restore ask of CRIU alike.
#pragma once

#include "container/criu/service.hpp"
#include "container/lifecycle/checkpoint.hpp"

namespace strata::container {

// The directories of one checkpoint, open as long as CRIU works in them.
struct CheckpointFolder {
    std::string images, work; // absolute
    FileDescriptor images_fd, work_fd;
};

// `make`: makes them where they are missing; else they must be there.
[[nodiscard]] Result<CheckpointFolder> open_checkpoint_folder(const CheckpointOptions& options, bool make);

// The options of CRIU's that the caller's say; `log` is the log's name.
[[nodiscard]] Result<MessageWriter> criu_options(const CheckpointOptions& options, const Config& config,
                                                 const CheckpointFolder& folder, const std::string& log);

// Two strings under one field: ext_mnt, cg_root, join_ns.
void add_pair(MessageWriter& options, unsigned field, std::string_view key, std::string_view value);

// An error of CRIU's, with the reason: the host's, or what its log says.
[[nodiscard]] Error explain_criu(const Error& error, const std::string& what, const std::string& log);

} // namespace strata::container
