// The files of a container from outside: the root of its process, or of one that does not run mounted for
// this process. What is in it is hostile: names are resolved below it.
#pragma once

#include "base/file_descriptor.hpp"
#include "image/layer/archive_reader.hpp"
#include "image/layer/tar_writer.hpp"
#include "instance/copy_changes.hpp"
#include "instance/instances.hpp"

namespace strata::instance {

// The open root directory. For one that does not run this process, which must have one thread, gets a mount
// namespace of its own.
[[nodiscard]] Result<FileDescriptor> open_root(const Instances& instances, const Instance& instance);

// Opens `path` of the container for reading; links do not lead out of it.
[[nodiscard]] Result<FileDescriptor> open_inside(int root, const std::string& path, std::uint64_t flags);

// Copies a file or a directory between the container and the host, as `strata cp` does.
[[nodiscard]] Result<void> copy_out(int root, const std::string& source, const std::string& target);
[[nodiscard]] Result<void> copy_in(int root, const std::string& source, const std::string& target);

// The same as an archive: the file or directory `source`, or, with source/., what is in it.
[[nodiscard]] Result<void> archive_out(int root, const std::string& source, image::TarWriter& tar);
// Unpacks an archive, compressed or not, into a directory of the container, which is there.
[[nodiscard]] Result<void> archive_in(int root, image::Source source, const std::string& target);

// That what a container changed in its image's files can be told: in a plain directory it cannot.
[[nodiscard]] Result<void> knows_changes(const Instance& instance);

// What the container changed in its image's files, and the same as a layer's archive.
[[nodiscard]] Result<Changes> changes(const Instances& instances, const Instance& instance);
[[nodiscard]] Result<void> archive_changes(const Instances& instances, const Instance& instance,
                                           image::TarWriter& tar);

} // namespace strata::instance
