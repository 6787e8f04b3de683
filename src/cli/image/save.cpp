// strata save: writes images into an archive.
#include "image/archive/save.hpp"
#include "cli/commands.hpp"
#include "cli/image/context.hpp"

#include "base/atomic_file.hpp"
#include "base/file_descriptor.hpp"

#include <cstdlib>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

namespace strata::cli {
namespace {

struct Options {
    std::vector<std::string> names;
    std::string output;
};

void define(CLI::App& command, Options& options) {
    command.add_option("IMAGE", options.names, "The images")->required();
    command.add_option("-o,--output", options.output, "The archive; standard output by default")
        ->type_name("FILE");
    command.footer(
        "The archive is an OCI image layout and what docker load reads, in one; layers stay as they are,\n"
        "so that digests do not change.\n\n"
        "Examples:\n"
        "  strata save -o debian.tar debian:12\n"
        "  strata save app:1.0 app:1.1 | zstd > app.tar.zst");
}

image::Sink sink_of(int fd, const std::string& name) {
    return [fd, name](std::span<const std::byte> data) { return write_all(fd, data, name); };
}

Result<void> save_to_file(const Images& images, const image::ImageEntries& entries, const std::string& path) {
    std::string aside = path + ".XXXXXX"; // a save that fails leaves the old file
    const FileDescriptor file(mkostemp(aside.data(), O_CLOEXEC));
    if (!file) {
        return fail_errno("write", path);
    }
    auto saved = image::save_archive(images.store, entries, sink_of(file.get(), path));
    const mode_t mask = umask(0);
    umask(mask);
    if (saved && (fchmod(file.get(), 0666 & ~mask) != 0 || rename(aside.c_str(), path.c_str()) != 0)) {
        saved = fail_errno("write", path);
    }
    if (!saved) {
        unlink(aside.c_str());
    }
    return saved;
}

Result<void> save(const Images& images, Options& options) {
    image::ImageEntries entries;
    for (const auto& name : options.names) {
        auto entry = images.find(name);
        if (!entry) {
            return std::unexpected(entry.error());
        }
        entries.push_back(std::move(*entry));
    }
    const bool to_file = !options.output.empty() && options.output != "-";
    if (!to_file && isatty(STDOUT_FILENO) != 0) {
        return fail("an archive is not for a terminal", "name a file with -o, or send it on with | or >");
    }
    auto saved = to_file
                     ? save_to_file(images, entries, options.output)
                     : image::save_archive(images.store, entries, sink_of(STDOUT_FILENO, "standard output"));
    for (const auto& entry : saved ? entries : image::ImageEntries{}) {
        tell_of_image(shown_name(images, entry), "save");
    }
    return saved;
}

} // namespace

void add_save(CLI::App& root, Outcome& outcome) {
    add_image_command<Options>(root, outcome, "save", "Write images into an archive", define, save);
}

} // namespace strata::cli
