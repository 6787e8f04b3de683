// strata cp, diff, export and commit: the files of containers.
#include "cli/instance/commands.hpp"
#include "cli/instance/context.hpp"

#include "base/atomic_file.hpp"
#include "base/error.hpp"
#include "image/archive/import.hpp"
#include "image/change.hpp"
#include "image/layer/layer_writer.hpp"
#include "image/layer/tree_archive.hpp"
#include "instance/events.hpp"
#include "instance/root_access.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

namespace strata::cli {
namespace {

struct Copy {
    std::string source, target;
};

void define_cp(CLI::App& command, Copy& options) {
    command.add_option("SOURCE", options.source, "A file or directory, CONTAINER:PATH or PATH")->required();
    command.add_option("TARGET", options.target, "Where to, CONTAINER:PATH or PATH")->required();
    command.footer(
        "A directory's content alone is written SOURCE/. With - in the place of a path of the host an "
        "archive\n"
        "(tar) is read from standard input, or written to standard output.\n\n"
        "Examples:\n  strata cp web:/etc/nginx .\n  strata cp page.html web:/usr/share/nginx/html/\n"
        "  strata cp web:/var/log - | tar -t\n  tar -c page.html | strata cp - web:/usr/share/nginx/html");
}

// "web:/etc" as its parts; a path of the host has no container.
std::pair<std::string, std::string> parts_of(const std::string& text) {
    const auto colon = text.find(':');
    const bool is_path = text.starts_with('/') || text.starts_with('.') || colon == std::string::npos;
    return is_path ? std::pair(std::string{}, text)
                   : std::pair(text.substr(0, colon), text.substr(colon + 1));
}

// Writes an archive to a file, which must not be a terminal.
Result<void> write_archive(int file, const std::function<Result<void>(image::TarWriter&)>& fill) {
    if (isatty(file) != 0) {
        return fail("an archive is not written to a terminal", "redirect it to a file, or into a pipe");
    }
    image::TarWriter tar([&](std::span<const std::byte> data) { return write_all(file, data, "archive"); });
    auto done = fill(tar);
    return done ? tar.finish() : done;
}

Result<void> copy_between(int root, const std::string& source, const std::string& target, bool inward) {
    if (inward) {
        return source == "-" ? instance::archive_in(root, image::file_source(STDIN_FILENO, "archive"), target)
                             : instance::copy_in(root, source, target);
    }
    if (target != "-") {
        return instance::copy_out(root, source, target);
    }
    return write_archive(STDOUT_FILENO,
                         [&](image::TarWriter& tar) { return instance::archive_out(root, source, tar); });
}

Result<int> copy(const instance::Instances& instances, Copy& options) {
    const auto [from, source] = parts_of(options.source);
    const auto [to, target] = parts_of(options.target);
    if (from.empty() == to.empty()) {
        return fail("one of SOURCE and TARGET must be CONTAINER:PATH",
                    "for example: strata cp web:/etc/hosts .");
    }
    const auto found = find_container(instances, from.empty() ? to : from);
    if (!found) {
        return std::unexpected(found.error());
    }
    const auto root = instance::open_root(instances, *found);
    if (!root) {
        return std::unexpected(root.error());
    }
    const auto done = copy_between(root->get(), source, target, from.empty());
    return done ? Result<int>(success) : std::unexpected(done.error());
}

struct Named {
    std::string name;
};

void define_diff(CLI::App& command, Named& options) {
    command.add_option("CONTAINER", options.name, "Name or ID")->required();
    command.footer("A: added, C: changed, D: removed.\n\nExample:\n  strata diff web");
}

Result<int> diff(const instance::Instances& instances, Named& options) {
    const auto found = find_container(instances, options.name);
    const auto changes =
        found ? instance::changes(instances, *found)
              : Result<std::vector<std::pair<char, std::string>>>(std::unexpected(found.error()));
    if (!changes) {
        return std::unexpected(changes.error());
    }
    for (const auto& [kind, path] : *changes) {
        fmt::print("{} {}\n", kind, path);
    }
    return success;
}

struct Export {
    std::string name, output;
};

void define_export(CLI::App& command, Export& options) {
    command.add_option("CONTAINER", options.name, "Name or ID")->required();
    command.add_option("-o,--output", options.output, "File to write, instead of standard output")
        ->type_name("FILE");
    command.footer("Example:\n  strata export web | strata import - web:flat");
}

Result<int> export_root(const instance::Instances& instances, Export& options) {
    const auto found = find_container(instances, options.name);
    if (!found) {
        return std::unexpected(found.error());
    }
    FileDescriptor file(options.output.empty()
                            ? fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3)
                            : open(options.output.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    if (!file) {
        return fail_errno("write", options.output);
    }
    const auto root = instance::open_root(instances, *found);
    if (!root) {
        return std::unexpected(root.error());
    }
    const FileDescriptor directory(openat(root->get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    const auto done = write_archive(
        file.get(), [&](image::TarWriter& tar) { return image::archive_tree(directory.get(), tar); });
    return done ? Result<int>(success) : std::unexpected(done.error());
}

struct Commit {
    std::string name, image, message, author;
    std::vector<std::string> changes;
};

void define_commit(CLI::App& command, Commit& options) {
    command.add_option("CONTAINER", options.name, "Name or ID")->required();
    command.add_option("IMAGE[:TAG]", options.image, "Name of the image");
    command.add_option("-m,--message", options.message, "Remark in the image's history")->type_name("TEXT");
    command.add_option("-a,--author", options.author, "Who made it")->type_name("TEXT");
    command.add_option("-c,--change", options.changes, "Dockerfile instruction to apply; may be repeated")
        ->type_name("INSTRUCTION")
        ->allow_extra_args(false);
    command.footer("Example:\n  strata commit -c 'CMD [\"nginx\"]' web web:mine");
}

Result<image::NewLayer> make_layer(const instance::Instances& instances, const instance::Instance& instance,
                                   const image::Store& store, image::Lease& lease) {
    auto writer = image::LayerWriter::begin(store.blobs(), image::Compression::gzip);
    if (!writer) {
        return std::unexpected(writer.error());
    }
    image::TarWriter tar([&](std::span<const std::byte> data) { return writer->write(data); });
    auto done = instance::archive_changes(instances, instance, tar);
    done = done ? tar.finish() : done;
    if (!done) {
        return std::unexpected(done.error());
    }
    return writer->finish(lease);
}

Result<int> commit(const instance::Instances& instances, Commit& options) {
    const auto found = find_container(instances, options.name);
    if (!found) {
        return std::unexpected(found.error());
    }
    if (auto known = instance::knows_changes(*found); !known) {
        return std::unexpected(known.error());
    }
    std::optional<image::Reference> name;
    if (!options.image.empty()) {
        auto reference = image::Reference::parse(options.image);
        if (!reference) {
            return std::unexpected(reference.error());
        }
        name = std::move(*reference);
    }
    const auto store = image::Store::open(instances.store_directory());
    auto lease = store ? store->lease() : std::unexpected(store.error());
    const auto entry = lease ? store->find(found->settings.image_id, {})
                             : Result<image::ImageEntry>(std::unexpected(lease.error()));
    if (!entry) {
        return std::unexpected(entry.error());
    }
    auto base = store->load(entry->target, image::Platform::host(), found->settings.image);
    if (!base) {
        return std::unexpected(base.error());
    }
    for (const auto& layer : base->manifest.layers) {
        if (auto leased = lease->add(layer.digest); !leased) {
            return std::unexpected(leased.error());
        }
    }
    for (const auto& change : options.changes) {
        if (auto applied = image::apply_change(base->config.run, change); !applied) {
            return std::unexpected(applied.error());
        }
    }
    const auto layer = make_layer(instances, *found, *store, *lease);
    if (!layer) {
        return std::unexpected(layer.error());
    }
    base->config.created = image::timestamp();
    base->config.author = options.author;
    base->config.add_layer(layer->diff_id, {.created = base->config.created,
                                            .created_by = "strata commit",
                                            .author = options.author,
                                            .comment = options.message});
    base->manifest.layers.push_back(layer->descriptor);
    base->manifest.media_type = image::media_type::oci_manifest;
    const auto made = image::add_image(*store, *lease, base->manifest, base->config, std::move(name));
    if (!made) {
        return std::unexpected(made.error());
    }
    instance::record_event(instances.database(), *found, "commit", {{"comment", options.message}});
    if (!options.image.empty()) {
        instance::record_image_event(instances.database(), options.image, "tag");
    }
    fmt::print("{}\n", image::Digest::of(base->config.text()).text());
    return success;
}

} // namespace

void add_container_files(CLI::App& root, Outcome& outcome) {
    add_instance_command<Copy>(root, outcome, "cp", "Copy files to and from containers", define_cp, copy);
    add_instance_command<Named>(root, outcome, "diff", "Show what a container changed in its image's files",
                                define_diff, diff);
    add_instance_command<Export>(root, outcome, "export", "Write a container's files as a tar archive",
                                 define_export, export_root);
    add_instance_command<Commit>(root, outcome, "commit", "Make an image of a container's files",
                                 define_commit, commit);
}

} // namespace strata::cli
