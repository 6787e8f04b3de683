// Instances made and named. Apart from the rest of the state: monitors do neither, and are linked without
// what images need.
#include "instance/instances.hpp"

#include "base/atomic_file.hpp"
#include "image/store/pin.hpp"
#include "image/store/unpacked.hpp"
#include "instance/events.hpp"
#include "instance/identity.hpp"
#include "instance/unfinished_mark.hpp"

#include <algorithm>
#include <ctime>
#include <fmt/format.h>

namespace strata::instance {
namespace {

bool is_name(const std::string& text) {
    const auto is_letter = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0; };
    return text.size() > 1 && is_letter(text.front()) && std::ranges::all_of(text, [&](char c) {
               return is_letter(c) || c == '_' || c == '.' || c == '-';
           });
}

Result<void> check_name(const std::string& name) {
    if (!is_name(name)) {
        return fail(fmt::format("'{}' is no name for a container", name),
                    "use letters, digits, '_', '.' and '-', at least two, the first a letter or a digit");
    }
    return {};
}

} // namespace

Result<void> Instances::insert(Instance& instance) const {
    return database_.transaction([&]() -> Result<void> {
        for (int attempt = 0;; ++attempt) {
            const bool given = !instance.name.empty();
            const auto name = given ? instance.name : random_name(attempt);
            auto taken = database_.prepare("SELECT id FROM instances WHERE name = ?");
            const auto exists = taken.bind(name).step();
            if (!exists) {
                return std::unexpected(exists.error());
            }
            if (*exists && given) {
                return fail(
                    fmt::format("the name '{}' is used by container {}", name, taken.text().substr(0, 12)),
                    "remove (strata rm) or rename (strata rename) that one, or use another name");
            }
            if (!*exists) {
                instance.name = name;
                break;
            }
        }
        return database_
            .prepare("INSERT INTO instances (id, name, settings, created, status, pid, pid_start, exit_code, "
                     "error, "
                     "started, finished, restarts, address, stopped) "
                     "VALUES (?, ?, ?, ?, 0, 0, 0, 0, '', 0, 0, 0, '', 0)")
            .bind(instance.id)
            .bind(instance.name)
            .bind(to_text(instance.settings))
            .bind(instance.created)
            .run();
    });
}

// The layers, pinned, so that they outlive this process.
Result<void> Instances::unpack(Instance& instance, const image::Image& image) const {
    const auto store = image::Store::open(store_);
    auto lease = store ? store->lease() : std::unexpected(store.error());
    if (!lease) {
        return std::unexpected(lease.error());
    }
    auto layers = image::unpack_image(*store, image, *lease);
    if (!layers) {
        return std::unexpected(layers.error());
    }
    instance.settings.layers = std::move(*layers);
    return image::pin(store_, instance.id, image::chain_ids(image.config.diff_ids),
                      instance.settings.auto_remove ? image::PinEnd::crash_of_the_host
                                                    : image::PinEnd::removal);
}

Result<void> Instances::make_files(Instance& instance, const std::optional<image::Image>& image) const {
    if (image) {
        if (auto unpacked = unpack(instance, *image); !unpacked) {
            return unpacked;
        }
    }
    auto done = make_directories(path(instance), 0700);
    for (const char* part : {"upper", "work", "bundle", "root"}) {
        done = done ? make_directories(path(instance, part), part == std::string_view("upper") ? 0755 : 0700)
                    : done;
    }
    return done;
}

Result<Instance> Instances::create(const std::string& name, Settings settings,
                                   const std::optional<image::Image>& image,
                                   std::optional<UnfinishedMark>* unstarted) const {
    if (!name.empty()) {
        if (auto good = check_name(name); !good) {
            return std::unexpected(good.error());
        }
    }
    Instance instance{
        .id = random_id(), .name = name, .settings = std::move(settings), .created = std::time(nullptr)};
    if (instance.settings.hostname.empty() && instance.settings.network != "host") {
        instance.settings.hostname = instance.short_id();
    }
    auto mark = UnfinishedMark::set(directory_, instance.id);
    if (!mark) {
        return std::unexpected(mark.error());
    }
    auto done = make_files(instance, image);
    done = done ? insert(instance) : done;
    if (done && unstarted != nullptr) {
        *unstarted = std::move(*mark);
    } else if (done || remove_files(instance.id)) {
        mark->clear();
    }
    if (done) {
        record_event(database_, instance, "create");
    }
    return done ? Result<Instance>(std::move(instance)) : std::unexpected(done.error());
}

Result<void> Instances::rename(const Instance& instance, const std::string& name) const {
    if (auto good = check_name(name); !good) {
        return good;
    }
    auto renamed =
        database_.prepare("UPDATE instances SET name = ? WHERE id = ?").bind(name).bind(instance.id).run();
    if (!renamed) {
        return fail(fmt::format("the name '{}' is used by another container", name), "use another name");
    }
    auto after = instance;
    after.name = name;
    record_event(database_, after, "rename", {{"oldName", "/" + instance.name}});
    return renamed;
}

} // namespace strata::instance
