// strata import: makes an image of a root file system.
#include "image/archive/import.hpp"
#include "cli/commands.hpp"
#include "cli/image/context.hpp"
#include "cli/usage_error.hpp"
#include "image/change.hpp"

#include "base/error.hpp"
#include "base/file_descriptor.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

namespace strata::cli {
namespace {

struct Options {
    std::string input, name, message, platform;
    std::string compression = "gzip";
    std::vector<std::string> changes;
};

void define(CLI::App& command, Options& options) {
    command.add_option("FILE", options.input, "A tar archive, compressed or not; - is standard input")
        ->required();
    command.add_option("REPOSITORY[:TAG]", options.name, "The image's name");
    command.add_option("-c,--change", options.changes, "Set what containers run with; may be repeated")
        ->type_name("INSTRUCTION")
        ->allow_extra_args(false);
    command.add_option("-m,--message", options.message, "A word for the image's history")->type_name("TEXT");
    command
        .add_option("--platform", options.platform, "For which machines the image is; this one by default")
        ->type_name("OS/ARCHITECTURE");
    command.add_option("--compression", options.compression, "Of the image's layer")
        ->check(one_of({"gzip", "zstd", "none"}))
        ->type_name("gzip|zstd|none")
        ->capture_default_str();
    command.footer(
        "Instructions are those of a Dockerfile: CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, STOPSIGNAL, USER,\n"
        "VOLUME, WORKDIR. With SOURCE_DATE_EPOCH set, equal archives make equal images.\n\n"
        "Examples:\n"
        "  mmdebstrap --variant=minbase bookworm | strata import -c 'CMD [\"bash\"]' - debian:mine\n"
        "  strata import root.tar.zst quay.io/team/base:1.0");
}

Result<image::ImportOptions> to_import(const Options& options) {
    image::ImportOptions import{.message = options.message.empty() ? "Imported from " + options.input
                                                                   : options.message};
    if (!options.name.empty()) {
        auto name = image::Reference::parse(options.name);
        if (!name) {
            return std::unexpected(name.error());
        }
        import.name = std::move(*name);
    }
    if (!options.platform.empty()) {
        auto platform = image::Platform::parse(options.platform);
        if (!platform) {
            return std::unexpected(platform.error());
        }
        import.platform = std::move(*platform);
    }
    for (const auto& change : options.changes) {
        if (auto applied = image::apply_change(import.run, change); !applied) {
            return std::unexpected(applied.error());
        }
    }
    import.compression = options.compression == "gzip"   ? image::Compression::gzip
                         : options.compression == "zstd" ? image::Compression::zstd
                                                         : image::Compression::none;
    return import;
}

Result<void> import(const Images& images, Options& options) {
    const auto settings = to_import(options);
    if (!settings) {
        return std::unexpected(settings.error());
    }
    FileDescriptor file;
    const bool standard = options.input == "-";
    if (!standard) {
        file.reset(open(options.input.c_str(), O_RDONLY | O_CLOEXEC));
        if (!file) {
            return fail_errno("open", options.input);
        }
    }
    const std::string what = standard ? "standard input" : options.input;
    const int fd = standard ? STDIN_FILENO : file.get();
    const auto entry = image::import_root(images.store, image::file_source(fd, what), what, *settings);
    if (!entry) {
        return std::unexpected(entry.error());
    }
    const auto image = shown_image(images, *entry);
    if (!image) {
        return std::unexpected(image.error());
    }
    tell_of_image(shown_name(images, *entry), "import");
    fmt::print("{}\n", image->id().text());
    return {};
}

} // namespace

void add_import(CLI::App& root, Outcome& outcome) {
    add_image_command<Options>(root, outcome, "import",
                               "Make an image of a root file system in a tar archive", define, import);
}

} // namespace strata::cli
