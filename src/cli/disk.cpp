// strata disk create|info|convert
#include "backends/block/block.hpp"
#include "cli/commands.hpp"
#include "cli/parse.hpp"
#include "cli/usage_error.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <memory>
#include <string>

namespace strata::cli {
namespace {

// What create and convert share: the image to be made.
struct Target {
    std::string path;
    std::string cluster_size;
    backends::CreateOptions options;
};

void add_target_options(CLI::App& command, Target& target) {
    command.add_option("--format", target.options.format, "Format of the new image")
        ->type_name("raw|qcow2")
        ->check(one_of({"raw", "qcow2"}))
        ->capture_default_str();
    command.add_option("--cluster-size", target.cluster_size, "Cluster size of a qcow2 image")
        ->type_name("SIZE")
        ->default_str("64K");
    command.add_flag("--force", target.options.replace, "Replace what exists; a block device is overwritten");
}

Result<void> prepare(Target& target) {
    if (!target.cluster_size.empty()) {
        const auto size = parse_size(target.cluster_size);
        if (!size) {
            return std::unexpected(size.error());
        }
        target.options.cluster_size = *size;
    }
    return {};
}

// 1536 bytes as "1.5 KiB".
std::string human(std::uint64_t bytes) {
    constexpr std::array units{"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    auto value = static_cast<double>(bytes);
    std::size_t unit = 0;
    for (; value >= 1024 && unit + 1 < units.size(); ++unit) {
        value /= 1024;
    }
    return fmt::format("{:.4g} {}", value, units[unit]);
}

struct CreateArguments {
    Target target;
    std::string size;
    std::string backing;
};

Result<void> create(CreateArguments& arguments) {
    if (auto prepared = prepare(arguments.target); !prepared) {
        return prepared;
    }
    auto& options = arguments.target.options;
    if (!arguments.backing.empty()) {
        options.backing_file = arguments.backing;
    } else if (arguments.size.empty()) {
        return fail("the size of the disk is missing", "for example: strata disk create disk.qcow2 20G");
    }
    if (!arguments.size.empty()) {
        const auto size = parse_size(arguments.size);
        if (!size) {
            return std::unexpected(size.error());
        }
        options.size = *size;
    }
    return backends::create_image(arguments.target.path, options);
}

void add_create(CLI::App& disk, Outcome& outcome) {
    auto* command = disk.add_subcommand("create", "Make an empty disk image");
    auto arguments = std::make_shared<CreateArguments>();
    command->add_option("FILE", arguments->target.path, "The image to make")->type_name("FILE")->required();
    command->add_option("SIZE", arguments->size, "Size of the disk; by default that of the backing file");
    command
        ->add_option("--backing", arguments->backing,
                     "Begin with the contents of this image, unchanged by writes")
        ->type_name("FILE");
    command
        ->add_option("--backing-format", arguments->target.options.backing_format,
                     "Format of the backing file")
        ->type_name("raw|qcow2");
    add_target_options(*command, arguments->target);
    command->footer("Examples:\n"
                    "  strata disk create disk.qcow2 20G\n"
                    "  strata disk create --format raw disk.img 512M\n"
                    "  strata disk create --backing base.qcow2 --backing-format qcow2 clone.qcow2");
    command->callback([arguments, &outcome] {
        if (const auto created = create(*arguments); !created) {
            outcome.status = report(created.error(), failure);
        }
    });
}

void show(const std::string& path, const backends::ImageInfo& info) {
    fmt::print("file          {}\n", path);
    fmt::print("format        {}\n", info.format);
    fmt::print("disk size     {} ({} bytes)\n", human(info.virtual_size), info.virtual_size);
    fmt::print("on this host  {}\n", human(info.allocated));
    if (info.cluster_size != 0) {
        fmt::print("cluster size  {}\n", human(info.cluster_size));
    }
    if (!info.backing_file.empty()) {
        const auto format = info.backing_format.empty() ? "format not stated" : info.backing_format;
        fmt::print("backing file  {} ({})\n", info.backing_file, format);
    }
}

void add_info(CLI::App& disk, Outcome& outcome) {
    auto* command = disk.add_subcommand("info", "Show what a disk image is");
    auto path = std::make_shared<std::string>();
    command->add_option("FILE", *path, "The image")->type_name("FILE")->required();
    command->footer("Example:\n  strata disk info disk.qcow2");
    command->callback([path, &outcome] {
        if (const auto info = backends::image_info(*path)) {
            show(*path, *info);
        } else {
            outcome.status = report(info.error(), failure);
        }
    });
}

struct ConvertArguments {
    std::string source;
    backends::OpenOptions open;
    Target target;
};

// From now on SIGINT, SIGTERM and SIGHUP only set a flag.
class Interrupted {
public:
    Interrupted() {
        for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
            std::signal(number, [](int) { flag_ = 1; });
        }
    }

    explicit operator bool() const { return flag_ != 0; }

private:
    static inline volatile std::sig_atomic_t flag_ = 0;
};

// Per cent on a terminal; nothing elsewhere.
void show_progress(std::uint64_t done, std::uint64_t total) {
    if (isatty(STDERR_FILENO)) {
        fmt::print(stderr, "\r{:3} %{}", done * 100 / total, done == total ? "\n" : "");
    }
}

Result<void> convert(ConvertArguments& arguments) {
    if (auto prepared = prepare(arguments.target); !prepared) {
        return prepared;
    }
    const Interrupted interrupted;
    return backends::convert_image(arguments.source, arguments.open, arguments.target.path,
                                   arguments.target.options, [&](std::uint64_t done, std::uint64_t total) {
                                       show_progress(done, total);
                                       return !interrupted;
                                   });
}

void add_convert(CLI::App& disk, Outcome& outcome) {
    auto* command =
        disk.add_subcommand("convert", "Copy a disk image to another format, backing files included");
    auto arguments = std::make_shared<ConvertArguments>();
    command->add_option("SOURCE", arguments->source, "The image to copy")->type_name("FILE")->required();
    command->add_option("TARGET", arguments->target.path, "The image to make")->type_name("FILE")->required();
    command->add_option("--source-format", arguments->open.format, "Format of the source")
        ->type_name("auto|raw|qcow2")
        ->check(one_of({"auto", "raw", "qcow2"}))
        ->capture_default_str();
    add_target_options(*command, arguments->target);
    command->footer("Examples:\n"
                    "  strata disk convert disk.img disk.qcow2\n"
                    "  strata disk convert --format raw disk.qcow2 disk.img");
    command->callback([arguments, &outcome] {
        if (const auto converted = convert(*arguments); !converted) {
            const auto& error = converted.error();
            outcome.status = report(error, error.code == ECANCELED ? interrupted : failure);
        }
    });
}

} // namespace

void add_disk(CLI::App& root, Outcome& outcome) {
    auto* command = root.add_subcommand("disk", "Make, describe and convert disk images");
    command->require_subcommand(1);
    command->footer("Examples:\n"
                    "  strata disk create disk.qcow2 20G\n"
                    "  strata disk info disk.qcow2\n"
                    "  strata disk convert disk.img disk.qcow2");
    add_create(*command, outcome);
    add_info(*command, outcome);
    add_convert(*command, outcome);
}

} // namespace strata::cli
