// strata load: brings in images from an archive.
#include "image/archive/load.hpp"
#include "cli/commands.hpp"
#include "cli/image/context.hpp"

#include "base/error.hpp"
#include "base/file_descriptor.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

namespace strata::cli {
namespace {

struct Options {
    std::string input;
    bool quiet = false;
};

void define(CLI::App& command, Options& options) {
    command.add_option("-i,--input", options.input, "The archive; standard input by default")
        ->type_name("FILE");
    command.add_flag("-q,--quiet", options.quiet, "Only errors");
    command.footer(
        "Reads what strata save, docker save, podman save and skopeo write: OCI image layouts in a tar\n"
        "file, and Docker's own form, compressed or not.\n\n"
        "Examples:\n"
        "  strata load -i debian.tar\n"
        "  ssh build docker save app:1.0 | strata load");
}

Result<void> load(const Images& images, Options& options) {
    FileDescriptor file;
    const bool standard = options.input.empty() || options.input == "-";
    if (!standard) {
        file.reset(open(options.input.c_str(), O_RDONLY | O_CLOEXEC));
        if (!file) {
            return fail_errno("open", options.input);
        }
    } else if (isatty(STDIN_FILENO) != 0) {
        return fail("there is no archive: standard input is a terminal", "name it: strata load -i FILE");
    }
    const std::string name = standard ? "standard input" : options.input;
    const int fd = standard ? STDIN_FILENO : file.get();
    const auto entries = image::load_archive(images.store, image::file_source(fd, name), name);
    if (!entries) {
        return std::unexpected(entries.error());
    }
    for (const auto& entry : *entries) {
        tell_of_image(shown_name(images, entry), "load");
        if (!options.quiet) {
            fmt::print("Loaded image{} {}\n", entry.name ? ":" : " ID:", shown_name(images, entry));
        }
    }
    return {};
}

} // namespace

void add_load(CLI::App& root, Outcome& outcome) {
    add_image_command<Options>(root, outcome, "load", "Bring in images from an archive", define, load);
}

} // namespace strata::cli
