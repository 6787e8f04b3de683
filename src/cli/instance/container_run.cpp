#include "cli/instance/container_run.hpp"

#include "base/atomic_file.hpp"
#include "base/error.hpp"
#include "cli/image/context.hpp"
#include "cli/image/progress.hpp"
#include "image/registry/settings.hpp"
#include "image/registry/transfer.hpp"
#include "instance/attachment.hpp"
#include "instance/life_cycle.hpp"
#include "instance/monitor.hpp"
#include "instance/network/networks.hpp"
#include "instance/volumes.hpp"

#include <array>
#include <filesystem>
#include <fmt/format.h>
#include <sys/socket.h>

namespace strata::cli {
namespace {

constexpr int engine_failed = 125, cannot_run = 126, not_found = 127;

Result<image::ImageEntry> pull(const image::Store& store, const image::Settings& settings,
                               const std::string& text, const image::PullOptions& options) {
    const auto names = image::candidates(settings.resolve_alias(text), settings.search);
    if (!names) {
        return std::unexpected(names.error());
    }
    Result<image::Pulled> pulled = fail(fmt::format("there is no registry to look for '{}' in", text));
    for (const auto& name : *names) {
        fmt::print(stderr, "Pulling {}\n", name.text());
        ProgressBars quiet(true);
        if (pulled = image::pull_image(store, settings, name, options, quiet); pulled) {
            tell_of_image(name.familiar(), "pull");
            return pulled->entry;
        }
    }
    return std::unexpected(pulled.error());
}

Result<image::Image> need_image(const image::Store& store, const CreateOptions& options) {
    const auto settings = image::Settings::load();
    if (!settings) {
        return std::unexpected(settings.error());
    }
    image::PullOptions wanted;
    if (!options.platform.empty()) {
        auto platform = image::Platform::parse(options.platform);
        if (!platform) {
            return std::unexpected(platform.error());
        }
        wanted.platform = std::move(*platform);
    }
    const auto& text = options.rest.front();
    auto entry = options.pull == "always" ? pull(store, *settings, text, wanted)
                                          : store.find(settings->resolve_alias(text), settings->search);
    if (!entry && options.pull == "missing") {
        entry = pull(store, *settings, text, wanted);
    }
    if (!entry) {
        return std::unexpected(entry.error());
    }
    return store.load(entry->target, wanted.platform, text);
}

// What is mounted must be there before the container is: directories of the host are made, as Docker does for
// -v.
Result<void> prepare_mounts(const instance::Instances& instances, const CreateOptions& options,
                            instance::Settings& settings) {
    for (std::size_t i = 0; i < settings.mounts.size(); ++i) {
        auto& point = settings.mounts[i];
        std::error_code failure;
        if (point.type == "volume") {
            const auto volume = instance::need_volume(instances, point.source);
            if (!volume) {
                return std::unexpected(volume.error());
            }
            point.source = volume->name;
        } else if (point.type == "bind" && !std::filesystem::exists(point.source, failure)) {
            if (i >= options.volumes.size()) { // --mount makes nothing
                return fail(fmt::format("{} is not there", point.source), "make it, or use -v, which does");
            }
            if (auto made = make_directories(point.source, 0755); !made) {
                return made;
            }
        }
    }
    return {};
}

int status_of(const Error& error) {
    if (error.message.find("ermission denied") != std::string::npos) {
        return cannot_run;
    }
    const bool missing = error.message.find("o such file") != std::string::npos ||
                         error.message.find("not found") != std::string::npos;
    return missing ? not_found : engine_failed;
}

} // namespace

Result<instance::Instance> create_container(const instance::Instances& instances,
                                            const CreateOptions& options,
                                            std::optional<instance::UnfinishedMark>* unstarted) {
    std::optional<image::Image> image;
    if (options.rootfs.empty()) {
        const auto store = image::Store::open(instances.store_directory());
        auto found = store ? need_image(*store, options) : std::unexpected(store.error());
        if (!found) {
            return std::unexpected(found.error());
        }
        image = std::move(*found);
    }
    auto settings = to_settings(options, image ? image->config.run : image::RunConfig{});
    if (!settings) {
        return std::unexpected(settings.error());
    }
    if (image) {
        settings->image = options.rest.front();
        settings->image_id = image->id().text();
    }
    if (settings->network.starts_with("container:")) { // by ID, since names change
        const auto owner =
            find_container(instances, settings->network.substr(settings->network.find(':') + 1));
        if (!owner) {
            return std::unexpected(owner.error());
        }
        settings->network = "container:" + owner->id;
    }
    if (instance::is_bridged(settings->network)) { // by name, also where it was named by its ID
        const auto network = instance::find_network(instances, settings->network);
        if (!network) {
            return std::unexpected(network.error());
        }
        settings->network = network->name;
        if (auto good =
                instance::check_endpoint(*network, settings->network_aliases, settings->network_address);
            !good) {
            return std::unexpected(good.error());
        }
    }
    if (auto prepared = prepare_mounts(instances, options, *settings); !prepared) {
        return std::unexpected(prepared.error());
    }
    auto made = instances.create(options.name, std::move(*settings), image, unstarted);
    if (made && !options.cid_file.empty()) {
        if (auto written = replace_file(options.cid_file, made->id, 0644); !written) {
            return std::unexpected(written.error());
        }
    }
    return made;
}

Result<int> start_attached(const instance::Instances& instances, const instance::Instance& instance,
                           std::optional<instance::UnfinishedMark> unstarted) {
    std::array<int, 2> ends{};
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
        return fail_errno("make", "a socket pair");
    }
    const FileDescriptor ours(ends[0]);
    FileDescriptor theirs(ends[1]);
    if (auto launched = instance::launch(instances, instance, theirs.get()); !launched) {
        return std::unexpected(launched.error());
    }
    if (unstarted) {
        unstarted->clear();
    }
    theirs.reset();
    const auto& settings = instance.settings;
    const int code =
        instance::carry_streams(ours.get(), {.terminal = settings.terminal, .input = settings.interactive});
    if (code == -2) {
        return success; // left running
    }
    return code >= 0 ? code : instance::wait(instances, instance);
}

int run_container(const Places& places, const CreateOptions& options) {
    const auto instances = open_instances(places);
    if (!instances) {
        return report(instances.error(), engine_failed);
    }
    std::optional<instance::UnfinishedMark> unstarted;
    const auto made = create_container(*instances, options, &unstarted);
    if (!made) {
        return report(made.error(), engine_failed);
    }
    Result<int> code = success;
    if (options.detach) {
        if (auto launched = instance::launch(*instances, *made); !launched) {
            code = std::unexpected(launched.error());
        } else {
            unstarted->clear();
            fmt::print("{}\n", made->id);
        }
    } else {
        code = start_attached(*instances, *made, std::move(unstarted));
    }
    unstarted.reset();
    if (options.remove && !options.detach) {
        instances->database().leave_in_log(); // nothing but the news of a container that is gone
    }
    if (!code) {
        if (options.remove) {
            static_cast<void>(instance::remove_instance(*instances, *made, true));
        }
        return report(code.error(), status_of(code.error()));
    }
    return *code;
}

} // namespace strata::cli
